"""DICOM files: the picture as its window shows it, and the patient as a group. Needs the extra ``medical``.

Only the elements that tell how pixels are shown are read; names, dates and numbers of people are skipped unread, and nothing
that pydicom says is passed on, because it quotes what it reads. ``patient_of`` alone looks at who it is, for the one purpose
of keeping a patient's pictures together.
"""

import io
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image as Pillow

from eyebright.core.errors import ImageError, MissingExtraError
from eyebright.images import window
from eyebright.images.hearing import listening, overhear
from eyebright.images.limits import check_size
from eyebright.images.rle import unpack_rle
from eyebright.images.slow import refuse_many_scans

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_WANTED = [
    "Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "NumberOfFrames",
    "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelPaddingValue", "PixelPaddingRangeLimit",
    "ModalityLUTSequence", "RescaleSlope", "RescaleIntercept", "VOILUTSequence", "VOILUTFunction",
    "WindowCenter", "WindowWidth", "BurnedInAnnotation", "PixelData",
    *(f"{colour}PaletteColorLookupTable{part}" for colour in ("Red", "Green", "Blue") for part in ("Descriptor", "Data")),
]  # fmt: skip
_GREY = ("MONOCHROME1", "MONOCHROME2")
_COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
_PALETTE = "PALETTE COLOR"
_OTHER_SPACES = ("HSV", "ARGB", "CMYK", "YBR_PARTIAL_422", "YBR_PARTIAL_420", "XYB")  # PS3.3, C.7.6.3.1.2

# PS3.6, annex A. What else there is (JPEG lossless, JPEG-LS, video ...) Pillow cannot decode; a deflated file is inflated whole
# before its size is known.
_EXPLICIT = "1.2.840.10008.1.2.1"
_PLAIN = ("1.2.840.10008.1.2", _EXPLICIT, "1.2.840.10008.1.2.2")
_RLE = "1.2.840.10008.1.2.5"
_EXTENDED = "1.2.840.10008.1.2.4.51"  # JPEG of 8 or 12 bits, of which Pillow decodes 8
_BY_PILLOW = ("1.2.840.10008.1.2.4.50", _EXTENDED, "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91")
_DEFLATED = "1.2.840.10008.1.2.1.99"
_READ = "uncompressed, RLE, JPEG baseline or JPEG 2000"
_PATIENT_ID, _ISSUER = 0x00100020, 0x00100021
_DECOMPRESS = "Decompress it, for example with DCMTK: dcmdjpeg IN OUT (dcmdjpls for JPEG-LS), or GDCM: gdcmconv --raw IN OUT."


def read_dicom(content: bytes) -> tuple[Pillow.Image, list[str]]:
    """The picture in mode L or RGB, and sentences on what was done to it.

    Stored values become what the modality means by them (slope and intercept, or a table), then grey by the file's first
    window, else by its first table, else by its own range (``images.window``). MONOCHROME1 is inverted; deep colour is scaled.
    Of several frames the first is taken. Raises ``ImageError`` for what cannot be shown, also where pydicom is missing.
    """
    if not has_pydicom():
        raise ImageError(
            "The content is a DICOM file, which needs the package pydicom. Install it: pip install 'eyebright[medical]'"
        )
    try:
        with _unheard():
            return _read(content)
    except ImageError:
        raise
    except Exception as error:  # a parser on hostile bytes may raise anything, and quotes what it read
        raise ImageError(
            f"The DICOM is truncated or damaged ({type(error).__name__}); a whole picture was expected. "
            "Copy it again, or remove it."
        ) from None


def dicom_size(content: bytes) -> tuple[int, int]:
    """Width and height as the header says. Raises whatever pydicom does, ``ImportError`` where it is missing."""
    with _unheard():
        dataset = _pixel_header(content)
        return int(dataset.Columns), int(dataset.Rows)


def patient_of(content: bytes) -> str | None:
    """A name for the patient of the DICOM file that begins with ``content``; None where it is not told, or not so early.

    The beginning of a file is enough, as nothing behind the patient's number is read. The name is the patient ID and its
    issuer, so it must not be kept: it is for comparing. Raises ``MissingExtraError`` where pydicom is missing.
    """
    if not has_pydicom():
        raise MissingExtraError.for_extra("medical", "Reading DICOM pictures")
    try:
        with _unheard():
            header = _patient_header(content)
            identity, issuer = (str(header.get(tag, "") or "").strip() for tag in ("PatientID", "IssuerOfPatientID"))
    except Exception:  # a header that cannot be read tells no patient; whether it is a picture is decided elsewhere
        return None
    return f"{identity}\n{issuer}" if identity else None


def has_pydicom() -> bool:
    """Whether the package of the extra ``medical`` can be imported."""
    try:
        import pydicom  # noqa: F401
    except ImportError:
        return False
    return True


def _unheard() -> AbstractContextManager[list[str]]:
    """Nothing that pydicom warns about or logs on this thread leaves the block."""
    import pydicom.misc

    overhear(pydicom.misc, log="pydicom")
    return listening()


def _read(content: bytes) -> tuple[Pillow.Image, list[str]]:
    dataset = _pixel_header(content)
    if "PixelData" not in dataset or "Rows" not in dataset:
        raise ImageError(
            "The DICOM file holds no pixels, as a report, a plan or a directory; a picture was expected. Remove it."
        )
    check_size(int(dataset.Columns), int(dataset.Rows))
    notes = _notes(dataset)
    return _shown(dataset, notes), notes


def _pixel_header(content: bytes) -> "Dataset":
    """The elements of the picture, and none of the person."""
    from pydicom.filereader import dcmread

    _refuse_deflated(content)
    return dcmread(io.BytesIO(content), force=not _has_preamble(content), specific_tags=_WANTED)


def _patient_header(content: bytes) -> "Dataset":
    """The patient ID and its issuer, and nothing behind them."""
    from pydicom.filereader import read_partial

    _refuse_deflated(content)
    wanted, force = [_PATIENT_ID, _ISSUER], not _has_preamble(content)
    return read_partial(io.BytesIO(content), lambda tag, _vr, _length: tag > _ISSUER, None, force, wanted)


def _refuse_deflated(content: bytes) -> None:
    """pydicom would inflate the whole file before anything of it is known, its size included."""
    from pydicom.filereader import read_partial

    meta = read_partial(io.BytesIO(content), lambda _tag, _vr, _length: True, force=not _has_preamble(content)).file_meta
    if meta.get("TransferSyntaxUID") == _DEFLATED:
        raise ImageError(f"The DICOM is deflated as a whole; {_READ} was expected. Unpack it with DCMTK: dcmconv +te IN OUT.")


def _has_preamble(content: bytes) -> bool:
    return content[128:132] == b"DICM"


def _notes(dataset: "Dataset") -> list[str]:
    notes = []
    if int(dataset.get("NumberOfFrames") or 1) > 1:
        notes.append("It has several frames; the first one is used.")
    if str(dataset.get("BurnedInAnnotation", "")).upper() == "YES":
        notes.append("Its header says that writing is burned into its pixels, which may name a person.")
    return notes


def _shown(dataset: "Dataset", notes: list[str]) -> Pillow.Image:
    kind = str(dataset.PhotometricInterpretation)
    if kind not in (*_GREY, *_COLOURS, _PALETTE):
        found = kind if kind in _OTHER_SPACES else "of an unknown name"
        raise ImageError(
            f"The DICOM has the colour space {found}; {', '.join((*_GREY, *_COLOURS, _PALETTE))} are read. "
            "Convert it to RGB or MONOCHROME2."
        )
    stored = _stored(dataset)
    if kind in _GREY:
        return Pillow.fromarray(window.shown(stored, dataset, notes))
    if kind == _PALETTE:
        return Pillow.fromarray(_to_bytes(_by_palette(stored, dataset), 16))
    return Pillow.fromarray(_to_bytes(stored, int(dataset.BitsStored)))


def _by_palette(stored: np.ndarray, dataset: "Dataset") -> np.ndarray:
    from pydicom.pixels.processing import apply_color_lut

    if "RedPaletteColorLookupTableData" not in dataset:  # a segmented table may unfold to any size
        raise ImageError("The DICOM has a palette in segments; a plain table was expected. Convert it to RGB.")
    return np.asarray(apply_color_lut(stored, dataset)[..., :3])


def _to_bytes(colours: np.ndarray, bits: int) -> np.ndarray:
    """Colour of more than 8 bits a channel, scaled to 8."""
    if colours.dtype == np.uint8:
        return colours
    scaled: np.ndarray = np.rint(colours.astype(np.float64) * (255.0 / (2**bits - 1))).clip(0, 255).astype(np.uint8)
    return scaled


def _stored(dataset: "Dataset") -> np.ndarray:
    """The first frame's stored values, rows x columns, or with three channels as RGB."""
    from pydicom.pixels.utils import pixel_array

    syntax = dataset.file_meta.get("TransferSyntaxUID")
    if syntax is None:
        raise ImageError(f"The DICOM does not say how its pixels are packed; {_READ} was expected. Export it again.")
    if syntax in _PLAIN:
        return np.asarray(pixel_array(dataset, index=0))
    if syntax == _RLE:
        _unpack_in_place(dataset)
        return np.asarray(pixel_array(dataset, index=0))
    if syntax in _BY_PILLOW and not (syntax == _EXTENDED and int(dataset.BitsStored) > 8):
        _check_frame(dataset)
        return np.asarray(pixel_array(dataset, index=0, decoding_plugin="pillow"))
    name = str(syntax.name) if not syntax.is_private else "a private coding"
    raise ImageError(f"The DICOM is packed as {name}; {_READ} was expected. {_DECOMPRESS}")


def _first_frame(dataset: "Dataset") -> bytes:
    from pydicom.encaps import get_frame

    return bytes(get_frame(dataset.PixelData, 0, number_of_frames=int(dataset.get("NumberOfFrames") or 1)))


def _unpack_in_place(dataset: "Dataset") -> None:
    """Replaces the packed frames by the plain first one; pydicom's own unpacker does not bound what it unpacks to."""
    from pydicom.uid import UID

    samples, sample_bytes = int(dataset.get("SamplesPerPixel") or 1), int(dataset.BitsAllocated) // 8
    plain = unpack_rle(_first_frame(dataset), int(dataset.Rows) * int(dataset.Columns), samples, sample_bytes)
    dataset.PixelData = plain + b"\x00" * (len(plain) % 2)
    dataset["PixelData"].is_undefined_length = False
    dataset.NumberOfFrames, dataset.PlanarConfiguration = 1, 1
    dataset.file_meta.TransferSyntaxUID = UID(_EXPLICIT)


def _check_frame(dataset: "Dataset") -> None:
    """Refuses a packed frame of another size than the header's: memory is spent by the frame's own."""
    from PIL.Jpeg2KImagePlugin import Jpeg2KImageFile
    from PIL.JpegImagePlugin import JpegImageFile

    frame = _first_frame(dataset)
    opener: Any = JpegImageFile if frame.startswith(b"\xff\xd8\xff") else Jpeg2KImageFile
    if opener is JpegImageFile:
        refuse_many_scans(frame)
    size = opener(io.BytesIO(frame)).size
    if size != (int(dataset.Columns), int(dataset.Rows)):
        raise ImageError(
            f"The DICOM says {dataset.Columns} x {dataset.Rows} pixels and its packed picture {size[0]} x {size[1]}; one size "
            "was expected. Export it again."
        )
