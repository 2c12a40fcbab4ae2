"""HEIC and other HEIF pictures. Needs the extra ``heic``."""

import io
from collections.abc import Callable

from PIL import ImageFile

from eyebright.core.errors import ImageError


def open_heif(file: io.BytesIO) -> ImageFile.ImageFile:
    """The main picture, its pixels not decoded yet; turned upright by the decoder, as the format asks.

    The plug-in class is called directly: registering it would change Pillow for the whole process. Raises ``ImageError``
    where the package is missing.
    """
    try:
        from pillow_heif.as_plugin import HeifImageFile
    except ImportError:
        raise ImageError(
            "The content is a HEIC picture, which needs the package pillow-heif. Install it: pip install 'eyebright[heic]', "
            "or convert the picture to JPEG."
        ) from None
    opener: Callable[[io.BytesIO], ImageFile.ImageFile] = HeifImageFile
    return opener(file)


def has_heif() -> bool:
    """Whether the package of the extra ``heic`` can be imported."""
    try:
        import pillow_heif  # noqa: F401
    except ImportError:
        return False
    return True
