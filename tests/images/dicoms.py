"""DICOM files made for the tests."""

import io

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian

NAME, NUMBER, BORN = "Roe^Jane", "MRN-4711", "19700131"


def dicom(stored, *, kind=None, bits=None, syntax=ExplicitVRLittleEndian, frames=None, without_preamble=False, **tags):
    """The bytes of a DICOM file with the stored values ``stored``, rows x columns (x 3), of a patient who is named in full.

    ``bits`` are those in use. ``frames`` are encoded pictures to be packed instead of the values.
    """
    dataset = Dataset()
    dataset.PatientName, dataset.PatientID, dataset.PatientBirthDate = NAME, NUMBER, BORN
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", "1.2.826.0.1.4711"
    dataset.Rows, dataset.Columns = stored.shape[:2]
    dataset.SamplesPerPixel = 1 if stored.ndim == 2 else 3
    if stored.ndim == 3:
        dataset.PlanarConfiguration = 0
    dataset.PhotometricInterpretation = kind or ("MONOCHROME2" if stored.ndim == 2 else "RGB")
    dataset.BitsAllocated = stored.itemsize * 8
    dataset.BitsStored = bits or dataset.BitsAllocated
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(stored.dtype.kind == "i")
    dataset.PixelData = encapsulate(frames) if frames else stored.tobytes() + b"\0" * (stored.nbytes % 2)
    dataset["PixelData"].VR = "OW"
    dataset["PixelData"].is_undefined_length = bool(frames)
    for name, value in tags.items():
        setattr(dataset, name, value)
    return written(dataset, syntax if frames else ExplicitVRLittleEndian, syntax, without_preamble)


def written(dataset, first=ExplicitVRLittleEndian, syntax=None, without_preamble=False):
    """The bytes of a data set, packed anew where ``syntax`` is another than ``first``."""
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = first
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    if syntax == pydicom.uid.RLELossless and first != syntax:
        dataset.compress(syntax, generate_instance_uid=False)
    elif syntax is not None:
        dataset.file_meta.TransferSyntaxUID = syntax
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()[132 if without_preamble else 0 :]


def ramp(height=16, width=16, top=4095, dtype=np.uint16):
    """Values that rise evenly from 0 to ``top``."""
    return np.linspace(0, top, height * width).round().astype(dtype).reshape(height, width)
