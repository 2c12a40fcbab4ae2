"""Colours as another colour profile means them (Display P3 of phones, Adobe RGB of cameras), in sRGB."""

import functools
import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image as Pillow

if TYPE_CHECKING:
    from PIL.ImageCms import ImageCmsTransform

MAX_PROFILE_BYTES = 2**20  # those of cameras and screens have 500 bytes to some kilobytes
SAME = 3  # levels of 255: editions of sRGB's own profile differ by 1 or 2, wider spaces by tens

_CONVERTED = "Its colours were converted from its own colour profile to sRGB."
_IGNORED = "Its colour profile could not be used; its colours are taken for sRGB."


def to_srgb(image: Pillow.Image, profile: bytes | None, notes: list[str]) -> Pillow.Image:
    """The picture in sRGB by its ICC profile. As it is where it has none, or one that says sRGB already.

    Grey is left alone: its profiles tell of print, and its values are often measurements. So is what came from CMYK, whose
    profile is of inks. Never an error: where a profile cannot be used the picture is off in colour, but whole; that is added
    to ``notes``, as a conversion is.
    """
    if image.mode != "RGB" or not profile:
        return image
    try:
        transform = _transform(profile)
        converted = image if transform is None else transform.apply(image)
    except Exception:  # a parser on hostile bytes may raise anything
        notes.append(_IGNORED)
        return image
    if transform is not None:
        notes.append(_CONVERTED)
    return converted


@functools.lru_cache(maxsize=8)  # a set comes from few cameras
def _transform(profile: bytes) -> "ImageCmsTransform | None":
    """The way from this profile to sRGB; None where there is nothing to do."""
    from PIL import ImageCms

    if len(profile) > MAX_PROFILE_BYTES:
        raise ValueError("too large")
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    if source.profile.xcolor_space != "RGB ":
        return None
    transform = ImageCms.ImageCmsTransform(source, ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")), "RGB", "RGB")
    return None if _is_same(transform) else transform


def _is_same(transform: "ImageCmsTransform") -> bool:
    levels = np.linspace(0, 255, 9).astype(np.uint8)
    colours = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(27, 27, 3)
    changed = np.asarray(transform.apply(Pillow.fromarray(colours)))
    return int(np.abs(changed.astype(int) - colours).max()) <= SAME
