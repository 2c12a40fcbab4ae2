"""The named sets, fetched from their publishers into the data home, and taken only where their bytes are the right ones.

What is judged are the unpacked bytes, wherever they are known, so that a mirror may pack as it likes. A file of other bytes is
deleted and named, and the next mirror is asked. Nothing that is there already is written over.
"""

import dataclasses
import gzip
import hashlib
import os
import shutil
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from eyebright.core.errors import DataError, ResourceError, SettingsError
from eyebright.core.events import Note, OnEvent, Phase, silent
from eyebright.core.files import write_bytes
from eyebright.core.registry import unknown
from eyebright.data import fetch
from eyebright.data.address import check_url
from eyebright.data.archive import Archive
from eyebright.data.catalogue import located
from eyebright.data.publishers import PUBLISHERS, Content, Offer, Publisher
from eyebright.data.tar import open_tar

PIECE = 2**20
_DAMAGE = (OSError, EOFError, zlib.error)


@dataclasses.dataclass(frozen=True)
class Obtained:
    """One published file: the ``paths`` it became, and the ``url`` it came from, or None where it was there already.

    ``proof`` says in words what shows that its bytes are the right ones.
    """

    file: str
    paths: tuple[Path, ...]
    url: str | None
    proof: str


def download_set(
    name: str,
    home: Path,
    *,
    source: str | None = None,
    patience: fetch.Patience | None = None,
    on_event: OnEvent = silent,
) -> tuple[Obtained, ...]:
    """Fetches what is missing of the set called ``name`` into ``home``; what is there already is checked and left.

    ``source`` is asked in the place of the publisher: an address that ends in ``/`` holds the set's files under their own
    names; of a set of one file it may be that file's own. Raises ``SettingsError`` for an unknown name or address,
    ``DataError`` where no server gives the right bytes or a file that is there differs from the published one, and
    ``ResourceError`` where the disk has no room. What has arrived of a file is kept for the next call.
    """
    publisher = _publisher(name)
    folder = located(name, home) or home / publisher.folder
    wanted = [(offer, _addresses(offer, publisher, source)) for offer in publisher.offers]
    present = {offer.file: _check_present(offer, folder) for offer, _ in wanted}
    _require_room([offer for offer, _ in wanted if not present[offer.file]], folder)
    return tuple(present[offer.file] or _obtain(offer, urls, folder, patience, on_event) for offer, urls in wanted)


def _publisher(name: str) -> Publisher:
    if name == "digits":
        raise SettingsError("The data set digits comes with scikit-learn; there is nothing to fetch. Use it by its name.")
    if name not in PUBLISHERS:
        raise SettingsError(
            f"{unknown('data set', name, PUBLISHERS)} Those that can be fetched: {', '.join(sorted(PUBLISHERS))}."
        )
    return PUBLISHERS[name]


def _addresses(offer: Offer, publisher: Publisher, source: str | None) -> tuple[str, ...]:
    if source is None:
        return offer.urls
    whole = len(publisher.offers) == 1 and not source.endswith("/")
    address = source if whole else f"{source.rstrip('/')}/{offer.file}"
    check_url(address)
    return (address,)


def _obtain(offer: Offer, urls: tuple[str, ...], folder: Path, patience: fetch.Patience | None, on_event: OnEvent) -> Obtained:
    """Asks one address after the other until one gives the right bytes."""
    part = folder / f"{offer.file}{fetch.SUFFIX}"
    failed: list[str] = []
    for url in urls:
        if failed:
            on_event(Note(f"{failed[-1]}. The next address is asked.", "warning"))
        try:
            fetch.fetch(url, part, most=offer.most, patience=patience, on_event=on_event)
        except DataError as error:
            failed.append(str(error))
            continue
        on_event(Phase(f"Checking {offer.file}"))
        try:
            return Obtained(offer.file, _accepted(offer, part, folder), url, _proof(offer))
        except _WrongError as error:
            fetch.discard(part)
            failed.append(f"{url}: {error}; it was deleted")
    raise DataError(
        f"{offer.file} could not be had: {'; '.join(failed)}. Try again later, give another address by --from, or put the file "
        f"into {folder} yourself."
    )


class _WrongError(Exception):
    """A file that holds other bytes than the published one."""


def _accepted(offer: Offer, part: Path, folder: Path) -> tuple[Path, ...]:
    """The paths of a part's contents, put in place once they are known to be right. Raises ``_WrongError``."""
    if offer.packing == "tar":
        return _unpacked(offer, part, folder)
    if offer.packing == "gzip":
        (content,) = offer.contents
        _judge(content, _gzip_pieces(part))
    else:
        _judge_file(offer, part)
    return (_put(part, folder / offer.file),)


def _unpacked(offer: Offer, part: Path, folder: Path) -> tuple[Path, ...]:
    """The contents of a tar, written to ``folder`` one by one after all of them were judged."""
    try:
        archive = open_tar(part)
    except DataError as error:
        raise _WrongError(str(error)) from None
    members = {content: _member(archive, content) for content in offer.contents}
    for content, member in members.items():
        _judge(content, archive.pieces(member))
    for content, member in members.items():
        if not (folder / content.name).exists():  # what is there was found to be right before anything was fetched
            write_bytes(folder / content.name, archive.read(member, content.size))
    fetch.discard(part)
    return tuple(folder / content.name for content in offer.contents)


def _member(archive: Archive, content: Content) -> str:
    found = [name for name in archive.sizes if name.rpartition("/")[2] == content.name]
    if len(found) != 1:
        raise _WrongError(f"it holds {len(found)} files called {content.name}, 1 was expected")
    return found[0]


def _put(part: Path, path: Path) -> Path:
    try:
        os.replace(part, path)
    except OSError as error:
        raise ResourceError(f"{path} could not be written: {error.strerror}. Choose a --data-home that can be.") from None
    fetch.discard(part)
    return path


def _check_present(offer: Offer, folder: Path) -> Obtained | None:
    """What is there of an offer, where it is whole. Raises ``DataError`` for other bytes: nobody's files are replaced."""
    paths = _paths(offer, folder)
    for path in paths:
        try:
            if path.is_file():
                _judge_path(offer, path)
        except _WrongError as error:
            raise DataError(
                f"{path} is there already and is not the published file: {error}. It is left as it is; move it away first."
            ) from None
    return Obtained(offer.file, paths, None, _proof(offer)) if all(path.is_file() for path in paths) else None


def _paths(offer: Offer, folder: Path) -> tuple[Path, ...]:
    """Where an offer's contents lie once they are there; those that come packed by gzip stay so, but may be found unpacked."""
    if offer.packing == "tar":
        return tuple(folder / content.name for content in offer.contents)
    unpacked = [folder / content.name for content in offer.contents if (folder / content.name).is_file()]
    return (unpacked[0] if unpacked else folder / offer.file,)


def _judge_path(offer: Offer, path: Path) -> None:
    if offer.packing == "none":
        _judge_file(offer, path)
        return
    content = next(content for content in offer.contents if path.name in (content.name, offer.file))
    _judge(content, _gzip_pieces(path) if path.name == offer.file else _pieces(path))


def _judge(content: Content, pieces: Iterable[bytes]) -> None:
    """Raises ``_WrongError`` where the unpacked ``pieces`` are not those of ``content``."""
    digest, size, text = hashlib.sha256(), 0, b""
    try:
        for piece in pieces:
            digest.update(piece)
            size += len(piece)
            text += piece if content.words else b""
            if size > content.size:
                raise _WrongError(f"{content.name} holds more than the {content.size:,} bytes that were expected")
    except (*_DAMAGE, DataError) as error:
        raise _WrongError(f"{content.name} is truncated or damaged ({error})") from None
    if content.words:
        if tuple(text.decode("ascii", "replace").split()) != content.words:
            raise _WrongError(f"{content.name} does not hold the words {' '.join(content.words)}")
    elif digest.hexdigest() != content.sha256:
        raise _WrongError(
            f"the {size:,} bytes of {content.name} have the sha256 {digest.hexdigest()}; {content.sha256} was expected"
        )


def _judge_file(offer: Offer, path: Path) -> None:
    digest = hashlib.md5(usedforsecurity=False)
    for piece in _pieces(path):
        digest.update(piece)
    if digest.hexdigest() != offer.md5:
        raise _WrongError(f"{offer.file} has the md5 {digest.hexdigest()}; {offer.md5} was expected")


def _proof(offer: Offer) -> str:
    return "sha256 of the unpacked bytes" if offer.contents else "the publisher's md5"


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from iter(lambda: file.read(PIECE), b"")


def _gzip_pieces(path: Path) -> Iterator[bytes]:
    with gzip.open(path) as file:
        yield from iter(lambda: file.read(PIECE), b"")


def _require_room(offers: list[Offer], folder: Path) -> None:
    """Raises ``ResourceError`` where the disk has no room for what is to be fetched and unpacked."""
    needed = sum(offer.most * (2 if offer.packing == "tar" else 1) for offer in offers)
    place = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    free = shutil.disk_usage(place).free
    if needed > free:
        raise ResourceError(
            f"Up to {needed / 2**20:,.0f} MiB are needed in {folder}, and {free / 2**20:,.0f} MiB are free. Free some space, "
            "or choose another folder with --data-home."
        )
