"""The pictures that every server is sent: three photographs of scikit-image (CC0 and public domain) as JPEG."""

import io
from pathlib import Path

from PIL import Image
from skimage import data

NAMES = ("chelsea", "coffee", "rocket")  # 451 x 300, 600 x 400, 640 x 427 pixels
QUALITY = 90


def write_pictures(folder: Path) -> list[Path]:
    """The three files, 40 to 90 kB each, in ``folder``."""
    files = []
    for name in NAMES:
        buffer = io.BytesIO()
        Image.fromarray(getattr(data, name)()).save(buffer, "JPEG", quality=QUALITY)
        files.append(folder / f"{name}.jpg")
        files[-1].write_bytes(buffer.getvalue())
    return files
