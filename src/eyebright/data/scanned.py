"""What is known of one picture once it was read in full."""

import dataclasses

from eyebright.images.cues import Cues


@dataclasses.dataclass(frozen=True, slots=True)
class Scanned:
    """One picture that could be read: the hash of its decoded pixels, its size, and how it was stored.

    ``cues`` are kept of the pictures that the search for shortcuts looks at: see ``data.probe``.
    """

    pixels_sha256: str
    height: int
    width: int
    mode: str
    format: str
    warnings: tuple[str, ...] = ()
    cues: Cues | None = None
