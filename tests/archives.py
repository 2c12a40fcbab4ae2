"""Archives of files, made by the standard library, for the tests of those that read them."""

import io
import tarfile

from pictures import zip_of

MODES = {"tar": "w", "tar.gz": "w:gz", "tar.bz2": "w:bz2", "tar.xz": "w:xz"}
KINDS = ("zip", *MODES)


def tar_of(path, files, *, mode="w", format=tarfile.PAX_FORMAT, **attributes):  # noqa: A002 - tarfile's own word
    """A tar at ``path`` with the members ``{name: bytes}``; a name that ends in ``/`` is a folder."""
    with tarfile.open(path, mode, format=format) as archive:
        for name, content in files.items():
            archive.addfile(*member(name, content, **attributes))
    return path


def member(name, content, **attributes):
    info = tarfile.TarInfo(name.rstrip("/") if name != "/" else name)
    info.size = len(content)
    if name.endswith("/"):
        info.type = tarfile.DIRTYPE
    for key, value in attributes.items():
        setattr(info, key, value)
    return info, io.BytesIO(content)


def archive_of(folder, kind, files, *, name="pets"):
    """An archive of the given kind in ``folder``."""
    path = folder / f"{name}.{kind}"
    return zip_of(path, files) if kind == "zip" else tar_of(path, files, mode=MODES[kind])
