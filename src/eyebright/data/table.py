"""A table of pictures: a CSV with a path and a label in each row, and optionally a group and a part.

Columns are known by name, in any order and by their usual synonyms; further columns (sex, site, camera ...) are kept as they
are, for figures by subgroup. Labels are names even where they look like numbers.
Row numbers in messages are those a spreadsheet shows: the header is row 1.
"""

import csv
import dataclasses
import io
import os
import posixpath
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from eyebright.core.errors import DataError
from eyebright.core.registry import nearest
from eyebright.data.folder import first_bytes, read_file
from eyebright.data.layout import by_patient, class_names, require_extras, settle_parts
from eyebright.data.names import HEAD, PART_NAMES, key_of, part_of, picture_kind
from eyebright.data.source import Sample, Source

MAX_BYTES = 256 * 2**20
ROWS_SHOWN = 10
_NARROWER_GROUPS = ("case_id", "lesion_id", "track", "track_id")  # taken where nothing wider is there
COLUMNS = {
    "path": ("path", "file", "filename", "image", "filepath", "file_name", "image_path"),
    "label": ("label", "class", "category", "target"),
    "group": (
        "group",
        "group_id",
        "patient",
        "patient_id",
        "patientid",
        "subject",
        "subject_id",
        "subjectid",
        *_NARROWER_GROUPS,
    ),
    "part": ("part", "split", "set"),
}
_DELIMITERS = (",", ";", "\t")


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """One row: ``number`` as a spreadsheet counts, ``path`` as written, with ``/``, ``others`` the cells of further columns."""

    number: int
    path: str
    label: str
    part: str | None
    group: str | None
    others: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Table:
    """The rows of a table, sentences on how it was read, and the names of its further columns."""

    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    others: tuple[str, ...] = ()


def table_source(path: Path) -> Source:
    """The pictures that the CSV ``path`` lists. Paths in it are relative to its folder, or absolute.

    Raises ``DataError`` with row numbers for what is missing, doubled or unknown.
    """
    table = parse_table(_content(path), str(path))
    folder = path.parent
    stored = {row.number: _path_on_disk(row.path, folder) for row in table.rows}
    files = Files(
        lambda file: read_file(folder / file),
        lambda file, count: first_bytes(folder / file, count),
        lambda file: (folder / file).is_file(),
    )
    return build(table, path.stem, str(path), stored, files)


@dataclasses.dataclass(frozen=True)
class Files:
    """What a table lists, by stored path: the whole content, up to so many first bytes, and whether it is there."""

    read: Callable[[str], bytes]
    start: Callable[[str, int], bytes]
    exists: Callable[[str], bool]


def build(table: Table, name: str, where: str, stored: dict[int, str], files: Files) -> Source:
    """The source of a parsed table; ``stored`` gives each row's path as ``files`` want it.

    Where no column gives groups, the patients of DICOM files are the groups. Raises ``DataError`` for paths that are doubled or
    all missing, and ``MissingExtraError`` for pictures whose package is not installed.
    """
    keys = {row.number: key_of(stored[row.number]) for row in table.rows}
    _refuse_duplicates(table.rows, keys, where)
    missing_note = _missing_files(table.rows, stored, files.exists, where)
    classes = class_names((row.label for row in table.rows), where)
    numbers = {label: number for number, label in enumerate(classes)}
    samples, part_notes = settle_parts(
        [Sample(keys[row.number], numbers[row.label], row.part, row.group) for row in table.rows]
    )
    samples.sort(key=lambda sample: sample.key)
    paths = {keys[number]: path for number, path in stored.items()}
    samples, patient_notes = _with_patients(samples, paths, files, where)
    notes = (*table.notes, *part_notes, *missing_note, *patient_notes)
    columns = {column: {keys[row.number]: row.others[place] for row in table.rows} for place, column in enumerate(table.others)}
    return Source(name, classes, tuple(samples), lambda key: files.read(paths[key]), (), notes, columns)


def _with_patients(
    samples: list[Sample], paths: dict[str, str], files: Files, where: str
) -> tuple[list[Sample], tuple[str, ...]]:
    kinds = {key: picture_kind(stored, lambda path: files.start(path, HEAD)) for key, stored in paths.items()}
    require_extras(where, Counter(kind for kind in kinds.values() if kind))
    dicom = {key: paths[key] for key, kind in kinds.items() if kind == "DICOM"}
    if not dicom or any(sample.group is not None for sample in samples):
        return samples, ()
    return by_patient(samples, dicom, files.start)


def parse_table(content: bytes, where: str) -> Table:
    """The rows of a CSV in UTF-8, separated by comma, semicolon or tab. Raises ``DataError`` naming ``where``."""
    records = _records(_text(content, where), where)
    if not records:
        raise DataError(f"{where} is empty; a header with the columns path and label was expected, then one row a picture.")
    header, *body = records
    columns, notes = _columns(header, where)
    filled = [(number, record) for number, record in enumerate(body, start=2) if any(cell.strip() for cell in record)]
    if not filled:
        raise DataError(f"{where} has a header but no rows; one row a picture was expected.")
    _refuse_rows(where, "more cells than the header", [n for n, r in filled if any(c.strip() for c in r[len(header) :])])
    others = _other_columns(header, columns)
    rows = tuple(_row(number, record, columns, others) for number, record in filled)
    _refuse_rows(where, "no path", [row.number for row in rows if not row.path])
    _refuse_rows(where, "no label", [row.number for row in rows if not row.label])
    if "group" not in columns:
        notes = (*notes, *_like_groups(rows, tuple(others)))
    return Table(_with_parts(rows, where), notes, tuple(others))


def _like_groups(rows: Sequence[Row], others: tuple[str, ...]) -> Iterator[str]:
    """A sentence for each further column that may well say what belongs together, and is not read so."""
    for place, name in enumerate(others):
        if not re.search(r"(^|_)(id|video|slide|session|sequence)$", _column_name(name)):
            continue
        values = {row.others[place] for row in rows} - {""}
        if 1 < len(values) < len(rows):
            yield (
                f"The column {name!r} has {len(values):,} values in {len(rows):,} rows and is not read as a group; where rows "
                "of one value belong together (a patient, a film), call it 'group'."
            )


def has_columns(content: bytes) -> bool:
    """Whether the first line of ``content`` is the header of a table of pictures."""
    try:
        header = _records(_text(content.partition(b"\n")[0], ""), "")[0]
        _columns(header, "")
    except (DataError, IndexError):
        return False
    return True


def rows_named(numbers: Sequence[int]) -> str:
    """Row numbers for a message: the first ten, and how many more there are.

    >>> rows_named([2, 5])
    'rows 2, 5'
    """
    word = "row" if len(numbers) == 1 else "rows"
    rest = f" and {len(numbers) - ROWS_SHOWN} more" if len(numbers) > ROWS_SHOWN else ""
    return f"{word} {', '.join(map(str, numbers[:ROWS_SHOWN]))}{rest}"


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise DataError(
            f"The table {path} cannot be read: {error.strerror}. Check that it exists and its permissions."
        ) from None
    return content


def _text(content: bytes, where: str) -> str:
    if len(content) > MAX_BYTES:
        raise DataError(f"{where} is larger than {MAX_BYTES >> 20} MiB, the most that is read. Split the table.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{where} is not text in UTF-8 (byte {error.start}); a CSV was expected. Save it again as 'CSV UTF-8'."
        ) from None


def _records(text: str, where: str) -> list[list[str]]:
    first_line = text.partition("\n")[0]
    delimiter = max(_DELIMITERS, key=lambda candidate: _known_columns(first_line.split(candidate)))
    try:
        return list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise DataError(f"{where} is not a CSV that can be read: {error}. Save it again from a spreadsheet.") from None


def _known_columns(names: list[str]) -> int:
    known = {synonym for synonyms in COLUMNS.values() for synonym in synonyms}
    return sum(_column_name(name) in known for name in names)


def _column_name(cell: str) -> str:
    return cell.strip().strip('"').strip().casefold().replace(" ", "_")


def _columns(header: list[str], where: str) -> tuple[dict[str, int], tuple[str, ...]]:
    """Meaning -> index of the column, and notes where two columns could have had the same meaning."""
    names = [_column_name(cell) for cell in header]
    columns: dict[str, int] = {}
    notes: list[str] = []
    for meaning, synonyms in COLUMNS.items():
        found = sorted((synonyms.index(name), index) for index, name in enumerate(names) if name in synonyms)
        if found:
            columns[meaning] = found[0][1]
        if len(found) > 1:
            ignored = ", ".join(header[index] for _, index in found[1:])
            notes.append(f"The column {header[found[0][1]]!r} is used as the {meaning}; left aside: {ignored}.")
    if missing := [meaning for meaning in ("path", "label") if meaning not in columns]:
        wanted = " and ".join(f"{meaning} (or {', '.join(COLUMNS[meaning][1:])})" for meaning in missing)
        raise DataError(
            f"{where} has the columns {', '.join(header)[:300]}; expected also {wanted}. Name them in the first row."
        )
    return columns, tuple(notes)


def _other_columns(header: list[str], columns: dict[str, int]) -> dict[str, int]:
    """The further columns by name as written; of two with the same name the first, and none without a name."""
    taken = set(columns.values())
    others: dict[str, int] = {}
    for index, cell in enumerate(header):
        name = cell.strip().strip('"').strip()
        if name and index not in taken:
            others.setdefault(name, index)
    return others


def _row(number: int, record: list[str], columns: dict[str, int], others: dict[str, int]) -> Row:
    cells = {
        meaning: unicodedata.normalize("NFC", record[index].strip()) if meaning != "path" else record[index].strip()
        for meaning, index in columns.items()
        if index < len(record)
    }
    path = cells.get("path", "")
    if "/" not in path:
        path = path.replace("\\", "/")  # a table written on Windows
    kept = tuple(record[index].strip() if index < len(record) else "" for index in others.values())
    return Row(number, path, cells.get("label", ""), cells.get("part") or None, cells.get("group") or None, kept)


def _refuse_rows(where: str, what: str, numbers: list[int]) -> None:
    if numbers:
        raise DataError(f"{where} has {what} in {rows_named(numbers)}. Fill the cells, or remove the rows.")


def _with_parts(rows: tuple[Row, ...], where: str) -> tuple[Row, ...]:
    if all(row.part is None for row in rows):
        return rows
    _refuse_rows(where, "no part (other rows have one)", [row.number for row in rows if row.part is None])
    for row in rows:
        if not part_of(row.part or ""):
            close = nearest((row.part or "").casefold(), PART_NAMES)
            hint = f"Did you mean {close[0]}?" if close else "Rename it."
            raise DataError(
                f"{where} has the unknown part {row.part!r} in row {row.number}; train, validation, calibration or test "
                f"was expected. {hint}"
            )
    return tuple(dataclasses.replace(row, part=part_of(row.part or "")) for row in rows)


def _refuse_duplicates(rows: Sequence[Row], keys: dict[int, str], where: str) -> None:
    first: dict[str, int] = {}
    for row in rows:
        other = first.setdefault(keys[row.number], row.number)
        if other != row.number:
            raise DataError(
                f"{where} lists {keys[row.number]} twice, in rows {other} and {row.number}; one row a picture was expected. "
                "Remove one of them."
            )


def _missing_files(rows: Sequence[Row], stored: dict[int, str], exists: Callable[[str], bool], where: str) -> tuple[str, ...]:
    missing = [row.number for row in rows if not exists(stored[row.number])]
    if len(missing) == len(rows):
        raise DataError(
            f"None of the {len(rows)} files that {where} lists exists ({rows_named(missing)}); the first is "
            f"{stored[missing[0]]}. Paths are relative to the table's own folder: move the table, or correct them."
        )
    if not missing:
        return ()
    return (f"{len(missing)} of {len(rows)} listed files are missing ({rows_named(missing)}); they count as unreadable.",)


def _path_on_disk(path: str, folder: Path) -> str:
    """The path relative to the table's folder where it lies in it, so that keys survive a move; else as it is written.

    A spreadsheet composes accents, a disk may keep them apart: the form that exists is taken.
    """
    if posixpath.isabs(path):
        inside = os.path.relpath(path, folder.absolute())
        path = path if inside.startswith("..") else inside
    path = posixpath.normpath(path)
    forms = (path, unicodedata.normalize("NFC", path), unicodedata.normalize("NFD", path))
    return next((form for form in forms if (folder / form).is_file()), path)
