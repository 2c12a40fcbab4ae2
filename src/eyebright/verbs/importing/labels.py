"""The names of a foreign model's classes, in the order of its outputs."""

import csv
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from eyebright.core.errors import DataError, MissingExtraError, ModelError, SettingsError
from eyebright.core.registry import nearest

Repeated = Literal["refuse", "number"]

MAX_BYTES = 16 * 2**20  # of a file of names
MAX_CLASSES = 100_000  # as many as a manifest holds
MAX_NAME = 500  # characters
IMAGENET, BACKGROUND = "imagenet", "imagenet-1001"

_CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_DIGITS = tuple(str(digit) for digit in range(10))
_OWN = {"cifar10": _CIFAR10, "mnist": _DIGITS, "digits": _DIGITS}
_NUMBERED = re.compile(r"\s*(\d+)\s*(?:[:;,\t]\s*|\s)(.*\S)\s*")


def read_labels(given: str, *, repeated: Repeated = "refuse") -> tuple[tuple[str, ...], str]:
    """The class names that ``given`` stands for, and where they come from in words.

    ``given`` is a file (one name a line, ``0: name`` or ``0,name`` a line, or JSON), names with commas between them, or the
    name of a known data set. ``repeated`` says what becomes of a name that stands twice: it is refused, or its number is
    added. Raises ``DataError`` for a file that cannot be read, ``SettingsError`` for what stands for no names.
    """
    path = Path(given)
    if _is_file(path):
        names, origin = _of_file(path), path.name
    elif "," in given:
        names, origin = [name.strip() for name in given.split(",")], "the command line"
    else:
        names, origin = list(_known(given)), f"the classes of {given}"
    return _distinct(names, origin, repeated), origin


def require_outputs(outputs: int, classes: Sequence[str], origin: str) -> None:
    """Raises ``ModelError`` where the model in ``origin`` has another number of outputs than there are class names."""
    if outputs == len(classes):
        return
    hint = "Give the names in the order of its outputs, all of them."
    if (outputs, len(classes)) == (1001, 1000):
        hint = f"Where its first class is ImageNet's background, give --classes {BACKGROUND}, or a file that begins with it."
    elif (outputs, len(classes)) == (1000, 1001):
        hint = f"It has no class for the background: give --classes {IMAGENET}, or the file without its first line."
    elif outputs == 1:
        hint = "A model with one output answers yes or no; one with an output for each class is needed."
    raise ModelError(f"{origin} tells {outputs:,} classes apart, and --classes names {len(classes):,}. {hint}")


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a long list of names is no path at all
        return False


def _known(name: str) -> tuple[str, ...]:
    """The classes of the data set called ``name``. Raises ``SettingsError`` with the nearest names where there is none."""
    from eyebright.data.medmnist import SETS

    fixed = {**_OWN, **{known: facts.classes for known, facts in SETS.items()}}
    if name in fixed:
        return fixed[name]
    if name in (IMAGENET, BACKGROUND):
        return (("background",) if name == BACKGROUND else ()) + _imagenet()
    close = nearest(name, [*fixed, IMAGENET, BACKGROUND])
    hint = f"Did you mean {' or '.join(close)}? Otherwise give" if close else "Give"
    raise SettingsError(
        f"--classes is {name!r}, which is no file, no list and no known data set. {hint} a file with one name a line, the "
        "names with commas between them (cat,dog), or cifar10, mnist, imagenet, imagenet-1001 or a set of MedMNIST."
    )


def _imagenet() -> tuple[str, ...]:
    try:
        from eyebright.models.lite0 import imagenet_classes
    except ModuleNotFoundError:
        raise MissingExtraError.for_extra("train", "The list of ImageNet's classes") from None
    return imagenet_classes()


def _of_file(path: Path) -> list[str]:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DataError(f"{path} has more than {MAX_BYTES >> 20} MiB; a list of class names was expected.")
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from None
    except UnicodeDecodeError:
        raise DataError(f"{path} is no text in UTF-8; class names, one a line, were expected. Save it as UTF-8.") from None
    if text.lstrip()[:1] in ("{", "["):
        return _of_json(text, path)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return _numbered_lines(lines, path) or lines


def _numbered_lines(lines: Sequence[str], path: Path) -> list[str] | None:
    """The names by their numbers where every line has one, but for a heading; None where they have none."""
    found = [_NUMBERED.fullmatch(line) for line in lines]
    rows = [match for match in (found[1:] if found and found[0] is None else found) if match]
    if len(rows) < 2 or len(rows) < len(lines) - 1:
        return None
    numbers = [int(row[1]) for row in rows]
    if sorted(numbers) != list(range(len(rows))):
        if len(set(numbers)) < len(numbers) or len(rows) < len(lines):
            return None  # "3 apples", "3 pears": the number is a part of the name
        raise DataError(
            f"{path} numbers its names from {min(numbers)} to {max(numbers)}; 0 to {len(rows) - 1}, each once, was expected, "
            "since outputs are counted from 0. Correct the numbers, or leave them out."
        )
    return [_unquoted(row[2]) for _, row in sorted(zip(numbers, rows, strict=True), key=lambda pair: pair[0])]


def _unquoted(field: str) -> str:
    """A field of CSV without its quotation marks; anything else as it is."""
    return next(csv.reader([field]))[0].strip() if field.startswith('"') and field.endswith('"') else field


def _of_json(text: str, path: Path) -> list[str]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} begins as JSON and is none: {error}. Correct it, or write one name a line.") from None
    if isinstance(value, dict) and isinstance(value.get("id2label"), dict):
        value = value["id2label"]  # a configuration of Hugging Face's
    names = _of_table(value) if isinstance(value, dict) else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise DataError(
            f'{path} holds JSON of another form; a list of names, {{"0": "cat", "1": "dog"}} or a configuration with id2label '
            "was expected."
        )
    return [name.strip() for name in names]


def _of_table(table: Mapping[str, Any]) -> list[Any] | None:
    """The names in a table from numbers to names, or from names to numbers, numbers being 0 to n - 1; None for another one."""
    pairs = {str(value): key for key, value in table.items()} if _numbers(table.values()) else dict(table)
    wanted = [str(number) for number in range(len(pairs))]
    return [pairs[number] for number in wanted] if set(wanted) == set(pairs) else None


def _numbers(values: Any) -> bool:
    return all(isinstance(value, int) and not isinstance(value, bool) for value in values)


def _distinct(names: Sequence[str], origin: str, repeated: Repeated) -> tuple[str, ...]:
    """``names``, each there once. Raises ``SettingsError`` for an empty name, too few, too many, and repeated ones."""
    if not 2 <= len(names) <= MAX_CLASSES:
        raise SettingsError(f"--classes: {origin} gives {len(names):,} names; 2 to {MAX_CLASSES:,} were expected.")
    for number, name in enumerate(names):
        if not name or len(name) > MAX_NAME or not name.isprintable():
            raise SettingsError(
                f"--classes: the name of class {number} in {origin} is {name[:40]!r}; 1 to {MAX_NAME} printable characters "
                "were expected."
            )
    twice = [name for name, count in Counter(names).items() if count > 1]
    if not twice:
        return tuple(names)
    places = [str(number) for number, name in enumerate(names) if name == twice[0]]
    if repeated == "refuse":
        raise SettingsError(
            f"--classes: {origin} names {twice[0]!r} for the classes {' and '.join(places[:4])}; one name for each was "
            "expected. Correct it, or tell them apart by their numbers with --repeated-names number."
        )
    numbered = tuple(f"{name} ({number})" if name in twice else name for number, name in enumerate(names))
    if len(set(numbered)) < len(numbered):
        raise SettingsError(f"--classes: {origin} has names that stay the same with their numbers added. Correct it.")
    return numbered
