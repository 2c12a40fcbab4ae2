"""What the name of a file or a folder says: a part, a picture, something hidden; and how it is written as a key."""

import unicodedata
from collections.abc import Callable, Iterable

from eyebright.data.source import PARTS
from eyebright.images import sniff
from eyebright.images.decode import picture_format

# A set that calls a part "evaluation" (Food-11) means the pictures it is finally measured on.
_OTHER_WORDS = {
    "train": ("training",),
    "validation": ("val", "valid", "dev"),
    "test": ("testing", "eval", "evaluation", "holdout"),
}
PART_NAMES = {**{part: part for part in PARTS}, **{word: part for part, words in _OTHER_WORDS.items() for word in words}}
# What announces a picture; those that cannot be decoded (JPEG XL ...) are counted as unreadable rather than overlooked.
PICTURE_EXTENSIONS = frozenset(
    "jpg jpeg jpe jfif png webp gif bmp dib tif tiff avif ppm pgm pbm pnm heic heif hif dcm dicom jxl jp2 j2k".split()  # noqa: SIM905
)
HEAD = sniff.HEAD  # bytes that tell what a file is where its name does not
NAMES_SHOWN = 10  # in a message

_IGNORED = frozenset(("__macosx", "thumbs.db", "desktop.ini", "$recycle.bin", "dicomdir"))
_EXTENSIONS_WITH_EXTRAS = frozenset(("heic", "heif", "hif", "dcm", "dicom"))


def key_of(stored: str) -> str:
    """A stored path as a key: NFC, so that a copy through macOS keeps its keys, and free of bytes that are no text.

    >>> key_of("cafe\\u0301/1.jpg") == "caf\\u00e9/1.jpg"
    True
    """
    return unicodedata.normalize("NFC", stored.encode("utf-8", "backslashreplace").decode("utf-8"))


def part_of(name: str) -> str | None:
    """The part that a directory's or a column's word names, or None.

    >>> part_of("Val"), part_of("Testing"), part_of("roses")
    ('validation', 'test', None)
    """
    return PART_NAMES.get(name.strip().casefold())


def picture_kind(stored: str, head: Callable[[str], bytes]) -> str | None:
    """What a file is taken for by its extension, or by its first bytes where the extension says nothing.

    A format, or the extension of a picture that needs no closer look; None for no picture. ``head`` gives the first ``HEAD``
    bytes of a stored path.
    """
    _, dot, extension = stored.rpartition("/")[2].rpartition(".")
    announced = extension.lower() if dot and extension.lower() in PICTURE_EXTENSIONS else None
    if announced and announced not in _EXTENSIONS_WITH_EXTRAS:
        return announced
    return picture_format(head(stored)) or announced


def is_hidden_path(stored: str) -> bool:
    """Whether any directory of the path, or the file itself, is hidden or a system's litter."""
    return any(is_hidden(name) for name in stored.split("/"))


def is_hidden(name: str) -> bool:
    """Whether one name is hidden or a system's litter.

    >>> is_hidden(".DS_Store"), is_hidden("Thumbs.db"), is_hidden("roses")
    (True, True, False)
    """
    return name.startswith(".") or name.casefold() in _IGNORED


def shown(names: Iterable[str]) -> str:
    """The first few names for a message, and how many more there are."""
    names = list(names)
    rest = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return ", ".join(names[:NAMES_SHOWN]) + rest
