"""Patients of DICOM files as groups without a name."""

from collections.abc import Callable, Mapping

from eyebright.core.errors import ImageError
from eyebright.images.dicom import patient_of

# Bytes in which a patient is looked for, then once more: what a maker stores before it may be large.
START_BYTES = (2**16, 2**20)


def find_patient(start: Callable[[int], bytes]) -> str | None:
    """Who a DICOM file is of, to compare and then forget; None where that is not told.

    ``start`` gives up to so many first bytes of the file.
    """
    for count in START_BYTES:
        try:
            content = start(count)
        except ImageError:  # a damaged member of an archive: decoding it will say so
            return None
        patient = patient_of(content)
        if patient is not None or len(content) < count:
            return patient
    return None


def patient_groups(patients: Mapping[str, str | None]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Key -> ``patient-1``, ``patient-2`` ... from key -> patient, for those that are told; and what is to be said of it.

    Patients are numbered as they come, so a number tells nothing of them; a hash could be found out by trying all IDs. Where
    all have the same patient there are no groups: nearly always an ID was blanked, and nothing could be held out.

    >>> patient_groups({"a": "Roe", "b": "Doe", "c": "Roe"})
    ({'a': 'patient-1', 'b': 'patient-2', 'c': 'patient-1'}, ('3 DICOM files are of 2 patients; each patient is a group.',))
    """
    told = {key: patient for key, patient in patients.items() if patient is not None}
    numbers: dict[str, int] = {}
    for patient in told.values():
        numbers.setdefault(patient, len(numbers) + 1)
    notes = []
    if len(told) < len(patients):
        lost = len(patients) - len(told)
        notes.append(f"No patient was found in {lost:,} of {len(patients):,} DICOM files; each is a group of its own.")
    if len(numbers) == 1 and len(told) > 1:
        notes.append(
            f"All {len(told):,} DICOM files that name a patient name the same one, as after blanking; no group is made of it. "
            "If they are of one patient indeed, figures say nothing about others."
        )
        return {}, tuple(notes)
    if numbers:
        notes.append(f"{len(told):,} DICOM files are of {len(numbers):,} patients; each patient is a group.")
    return {key: f"patient-{numbers[patient]}" for key, patient in told.items()}, tuple(notes)
