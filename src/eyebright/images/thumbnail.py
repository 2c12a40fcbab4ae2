"""A small, re-encoded copy of a picture, for reports: nothing of the original file but what can be seen."""

import base64
import io

from PIL import Image as Pillow

from eyebright.core.arrays import Image

QUALITY = 80


def thumbnail_uri(image: Image, *, side: int = 128) -> str:
    """A data URI of the picture as a JPEG whose longer side has at most ``side`` pixels; tiny pictures are enlarged.

    Small pictures grow by whole factors without smoothing, so that one sees the pixels the model saw.
    """
    picture = Pillow.fromarray(image)
    factor = side // max(picture.size)
    if factor >= 2:
        picture = picture.resize((picture.width * factor, picture.height * factor), Pillow.Resampling.NEAREST)
    else:
        picture.thumbnail((side, side), Pillow.Resampling.BICUBIC)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
