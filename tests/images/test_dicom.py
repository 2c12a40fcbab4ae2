"""Medical pictures: the grey that the file's window shows, and nothing of the person but a group."""

import logging
import struct
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import encoded, noise, png
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut, apply_windowing
from pydicom.pixels.encoders.native import _encode_segment
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    RLELossless,
)

from eyebright.core.errors import ImageError, MissingExtraError
from eyebright.images import dicom as room
from eyebright.images import limits
from eyebright.images.decode import decode
from eyebright.images.dicom import patient_of
from eyebright.images.patients import find_patient, patient_groups
from eyebright.images.rle import unpack_rle
from eyebright.images.sniff import HEAD, picture_format

from .dicoms import BORN, NAME, NUMBER, dicom, ramp, written

SECRETS = (NAME, NUMBER, BORN, "Roe", "Jane", "4711")


def grey(content):
    image = decode(content).image
    assert (image == image[..., :1]).all()
    return image[..., 0]


def table(values, first=0, bits=16):
    item = Dataset()
    item.LUTDescriptor = [len(values), first, bits]
    item.LUTData = np.asarray(values, dtype=np.uint16).tobytes()
    item["LUTData"].VR = "OW"
    return [item]


def test_a_window_is_shown_as_the_standard_says():
    # PS3.3 C.11.2.1.2.1, centre 100 and width 11: (x - 99.5) / 10 + 0.5, so 94 -> -0.05, 95 -> 0.05, 100 -> 0.55, 105 -> 1.05
    stored = np.array([[94, 95, 100, 105]], dtype=np.uint16)
    assert grey(dicom(stored, WindowCenter=100, WindowWidth=11)).tolist() == [[0, 13, 140, 255]]


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize(("centre", "width"), [(40, 400), (-600, 1500.5), (300.25, 1), (0, 4096)])
@pytest.mark.parametrize("signed", [False, True])
def test_windows_agree_with_pydicoms_own(function, centre, width, signed):
    stored = ramp(32, 32).astype(np.int16) - 2048 * signed if signed else ramp(32, 32)
    content = dicom(
        stored,
        bits=12,
        WindowCenter=centre,
        WindowWidth=width,
        VOILUTFunction=function,
        RescaleSlope=0.5,
        RescaleIntercept=-200,
    )
    dataset = pydicom.dcmread(pydicom.filebase.DicomBytesIO(content))
    with np.errstate(over="ignore"):  # pydicom's sigmoid
        shown = apply_windowing(apply_modality_lut(dataset.pixel_array, dataset), dataset)
    low, high = (end * 0.5 - 200 for end in ((-2048, 2047) if signed else (0, 4095)))
    assert np.abs(grey(content) - (shown - low) / (high - low) * 255).max() <= 0.51


def test_the_first_of_several_windows_is_used():
    stored = ramp()
    one, several = (
        grey(dicom(stored, WindowCenter=centre, WindowWidth=width)) for centre, width in ((40, 400), ([40, -600], [400, 1500]))
    )
    assert np.array_equal(one, several)


def test_slope_and_intercept_come_before_the_window():
    # 1024 + 40 stored is 40 Hounsfield units: the middle of the window
    stored = np.array([[0, 1064, 4095]], dtype=np.uint16)
    shown = grey(dicom(stored, bits=12, RescaleSlope=1, RescaleIntercept=-1024, WindowCenter=40, WindowWidth=400))
    assert shown.tolist() == [[0, 128, 255]]


def test_a_table_stands_in_for_slope_and_intercept():
    stored = np.array([[0, 1, 2, 9]], dtype=np.uint16)
    content = dicom(stored, ModalityLUTSequence=table([0, 100, 50]), WindowCenter=50.5, WindowWidth=101)
    assert grey(content).tolist() == [[0, 255, 128, 128]]  # beyond the table its last value counts


def test_a_table_of_interest_is_used_where_no_window_is_named():
    stored = np.array([[0, 1, 2, 3]], dtype=np.uint16)
    values = [0, 65535, 257 * 128, 0]
    assert grey(dicom(stored, VOILUTSequence=table(values))).tolist() == [[0, 255, 128, 0]]
    assert decode(dicom(stored, VOILUTSequence=table(values))).warnings == ()
    both = dicom(stored, VOILUTSequence=table(values), WindowCenter=2, WindowWidth=4)
    assert grey(both).tolist() == [[0, 85, 170, 255]]  # the window: (x - 1.5) / 3 + 0.5


def test_without_a_window_the_middle_99_percent_are_shown_and_this_is_said():
    stored = np.full((100, 100), 1000, dtype=np.uint16)
    stored[:50] = 2000
    stored[0, :20], stored[99, :20] = 60_000, 0  # 0.2 % each: a lead marker and dead pixels
    decoded = decode(dicom(stored))
    assert sorted(set(decoded.image[..., 0].ravel().tolist())) == [0, 255]
    assert decoded.image[1, 50, 0] == 255
    assert decoded.image[60, 50, 0] == 0
    assert decoded.warnings == ("It names no window: grey is shown from the 0.5th to the 99.5th percentile of its own values.",)


@pytest.mark.parametrize(
    "tags",
    [
        {"WindowCenter": 100},
        {"WindowCenter": 100, "WindowWidth": 0},
        {"WindowCenter": 100, "WindowWidth": -5, "VOILUTFunction": "LINEAR_EXACT"},
        {"WindowCenter": [], "WindowWidth": []},
    ],
)
def test_a_window_that_cannot_be_is_left_aside(tags):
    assert "names no window" in decode(dicom(ramp(), **tags)).warnings[0]


def test_eight_bits_without_a_window_are_shown_as_they_are():
    stored = np.arange(20, 120, dtype=np.uint8).reshape(10, 10)
    assert np.array_equal(grey(dicom(stored)), stored)
    assert decode(dicom(stored)).warnings == ()
    flags = np.array([[0, 1], [1, 0]], dtype=np.uint8)
    assert grey(dicom(flags, bits=1)).tolist() == [[0, 255], [255, 0]]


def test_twelve_bits_in_sixteen_keep_their_grey_and_lose_what_lies_in_the_others():
    stored = ramp(64, 64)
    plain = grey(dicom(stored, bits=12, WindowCenter=2048, WindowWidth=4096))
    assert len(np.unique(plain)) == 256
    overlay = stored | np.uint16(0b0101 << 12)
    assert np.array_equal(grey(dicom(overlay, bits=12, WindowCenter=2048, WindowWidth=4096)), plain)


def test_negative_values_are_negative():
    stored = np.array([[-1000, 0, 1000]], dtype=np.int16)
    assert grey(dicom(stored, WindowCenter=0.5, WindowWidth=2001)).tolist() == [[0, 128, 255]]


def test_the_full_range_of_sixteen_bits_is_looked_up_rightly():
    for stored in (np.array([[-32768, 0, 32767]], dtype=np.int16), np.array([[0, 32768, 65535]], dtype=np.uint16)):
        middle = int(stored[0, 1])
        shown = grey(dicom(stored, WindowCenter=middle, WindowWidth=65536, VOILUTFunction="LINEAR_EXACT"))
        assert shown.tolist() == [[0, 128, 255]]


def test_thirty_two_bits_are_not_too_many():
    stored = np.array([[0, 2**30, 2**31]], dtype=np.uint32)
    assert grey(dicom(stored, WindowCenter=2**30, WindowWidth=2**31)).tolist() == [[0, 128, 255]]


def test_monochrome1_is_monochrome2_inverted():
    tags = {"WindowCenter": 2000, "WindowWidth": 1000}
    upright, inverted = (grey(dicom(ramp(), kind=kind, **tags)) for kind in ("MONOCHROME2", "MONOCHROME1"))
    assert (np.abs(upright.astype(int) + inverted - 255) <= 1).all()  # half a level may be rounded up on both sides


@pytest.mark.parametrize("kind", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_black_and_has_no_say_in_the_range(kind):
    stored = np.full((20, 20), -2000, dtype=np.int16)
    stored[5:15, 5:15] = ramp(10, 10, 1000).astype(np.int16)
    shown = grey(dicom(stored, kind=kind, PixelPaddingValue=-2000))
    assert (shown[:5] == 0).all()
    assert (shown[5:15, 5:15].min(), shown[5:15, 5:15].max()) == (0, 255)
    assert len(np.unique(shown)) > 90


def test_a_picture_of_padding_alone_is_black():
    assert (grey(dicom(np.full((4, 4), 7, dtype=np.uint16), PixelPaddingValue=7)) == 0).all()


def test_one_value_is_one_grey():
    assert len(np.unique(grey(dicom(np.full((4, 4), 700, dtype=np.uint16))))) == 1


def test_colour_comes_back_byte_for_byte():
    decoded = decode(dicom(noise()))
    assert np.array_equal(decoded.image, noise())
    assert (decoded.format, decoded.mode, decoded.warnings) == ("DICOM", "RGB", ())
    planes = np.ascontiguousarray(noise().transpose(2, 0, 1)).reshape(noise().shape)
    assert np.array_equal(decode(dicom(planes, PlanarConfiguration=1)).image, noise())


def test_luma_and_chroma_become_red_green_and_blue():
    picture = Image.fromarray(noise())
    assert np.abs(decode(dicom(np.asarray(picture.convert("YCbCr")), kind="YBR_FULL")).image.astype(int) - noise()).max() <= 3


def test_sixteen_bit_colour_is_scaled():
    stored = np.array([[[0, 257, 65535]]], dtype=np.uint16)
    assert decode(dicom(stored)).image.tolist() == [[[0, 1, 255]]]


def test_a_palette_is_looked_up():
    tables = {}
    for channel, colour in enumerate(("Red", "Green", "Blue")):
        values = np.array([0, 257 * 10 * (channel + 1), 65535], dtype=np.uint16)
        tables[f"{colour}PaletteColorLookupTableDescriptor"] = [3, 0, 16]
        tables[f"{colour}PaletteColorLookupTableData"] = values.tobytes()
    stored = np.array([[0, 1, 2]], dtype=np.uint8)
    shown = decode(dicom(stored, kind="PALETTE COLOR", **tables)).image
    assert shown.tolist() == [[[0, 0, 0], [10, 20, 30], [255, 255, 255]]]
    with pytest.raises(ImageError, match="palette in segments"):
        decode(dicom(stored, kind="PALETTE COLOR"))


def test_a_colour_space_that_is_not_known_is_refused_by_name():
    with pytest.raises(ImageError, match=r"colour space HSV; MONOCHROME1, .* are read"):
        decode(dicom(noise(), kind="HSV"))
    with pytest.raises(ImageError, match="colour space of an unknown name"):
        decode(dicom(noise(), kind="ROE JANE"))


def test_the_first_frame_is_used_and_said():
    first = ramp(8, 8, 255, np.uint8)
    decoded = decode(dicom(np.stack([first, 255 - first]).reshape(16, 8), Rows=8, NumberOfFrames=2))
    assert np.array_equal(decoded.image[..., 0], first)
    assert decoded.warnings == ("It has several frames; the first one is used.",)


def test_writing_in_the_picture_is_said():
    assert "may name a person" in decode(dicom(noise(), BurnedInAnnotation="YES")).warnings[0]


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, RLELossless])
@pytest.mark.parametrize("stored", [ramp(15, 17), ramp(15, 17, 250, np.uint8), noise(15, 17)])
def test_every_plain_packing_gives_the_same_picture(syntax, stored):
    tags = {"WindowCenter": 2000, "WindowWidth": 3000} if stored.ndim == 2 else {}
    assert np.array_equal(decode(dicom(stored, syntax=syntax, **tags)).image, decode(dicom(stored, **tags)).image)


def test_big_endian_values_are_read():
    stored = ramp()
    tags = {"WindowCenter": 2000, "WindowWidth": 3000}
    assert np.array_equal(grey(dicom(stored.byteswap(), syntax=ExplicitVRBigEndian, **tags)), grey(dicom(stored, **tags)))


@pytest.mark.parametrize(
    ("syntax", "kind", "options", "tolerance"),
    [
        (JPEGBaseline8Bit, "JPEG", {"quality": 100, "subsampling": 0}, 4),
        (JPEG2000Lossless, "JPEG2000", {"no_jp2": True, "irreversible": False}, 0),
    ],
)
def test_packed_pictures_are_unpacked_by_pillow(syntax, kind, options, tolerance):
    smooth = np.asarray(Image.fromarray(noise(4, 4)).resize((32, 24)))
    colour = "YBR_FULL_422" if kind == "JPEG" else "YBR_RCT"
    packed = dicom(smooth, kind=colour, syntax=syntax, frames=[encoded(smooth, kind, **options)])
    assert np.abs(decode(packed).image.astype(int) - smooth).max() <= tolerance
    flat = smooth[..., 0]
    packed = dicom(flat, syntax=syntax, frames=[encoded(flat, kind, **options)])
    assert np.abs(grey(packed).astype(int) - flat).max() <= tolerance


def test_sixteen_bit_jpeg_2000_keeps_its_depth():
    stored = ramp(32, 32, 65535)
    frame = encoded(Image.fromarray(stored), "JPEG2000", no_jp2=True)
    tags = {"WindowCenter": 1000, "WindowWidth": 2000}
    assert np.array_equal(grey(dicom(stored, syntax=JPEG2000Lossless, frames=[frame], **tags)), grey(dicom(stored, **tags)))


def test_a_packed_jpeg_of_thousands_of_scans_is_refused():
    stored = noise(64, 64)[..., 0]
    frame = encoded(stored, "JPEG", progressive=True)
    many = frame[:-2] + frame[frame.rindex(b"\xff\xda") : -2] * 200 + frame[-2:]
    with pytest.raises(ImageError, match="more than 100 scans"):
        decode(dicom(stored, syntax=JPEGBaseline8Bit, frames=[many]))


def test_a_packed_picture_of_another_size_is_refused_before_it_is_unpacked():
    frame = encoded(noise(64, 64)[..., 0], "JPEG")
    with pytest.raises(ImageError, match="says 8 x 8 pixels and its packed picture 64 x 64"):
        decode(dicom(ramp(8, 8, 255, np.uint8), syntax=JPEGBaseline8Bit, frames=[frame]))


def test_other_packings_are_refused_with_the_way_out():
    with pytest.raises(ImageError, match=r"JPEG Lossless.*dcmdjpeg IN OUT.*gdcmconv --raw"):
        decode(dicom(ramp(), syntax=JPEGLosslessSV1, frames=[b"\xff\xd8\xff\x00"]))
    with pytest.raises(ImageError, match="deflated as a whole"):
        decode(dicom(ramp(), syntax=DeflatedExplicitVRLittleEndian))
    with pytest.raises(ImageError, match="JPEG Extended"):
        decode(dicom(ramp(), bits=12, syntax=JPEGExtended12Bit, frames=[encoded(noise()[..., 0], "JPEG")]))
    private = dicom(ramp(), syntax=JPEGLosslessSV1, frames=[b"abcd"]).replace(
        JPEGLosslessSV1.encode(), b"1.2.826.0.1.3680043.99"
    )
    with pytest.raises(ImageError, match="a private coding"):
        decode(private)


def test_size_is_checked_before_pixels_are_touched(monkeypatch):
    with pytest.raises(ImageError, match=r"60000 x 60000 = 3600\.0 megapixels"):
        decode(dicom(ramp(), Rows=60_000, Columns=60_000))
    monkeypatch.setattr(room, "_stored", None)
    with pytest.raises(ImageError, match="at least 1 x 1"):
        decode(dicom(ramp(), Rows=0))


def test_run_lengths_never_unpack_to_more_than_the_picture():
    bomb = struct.pack("<16L", 1, 64, *[0] * 14) + b"\x81\x00" * 100_000  # 12.8 MB as announced by the runs
    assert unpack_rle(bomb, 10, 1, 1) == bytes(10)
    with pytest.raises(ValueError, match="ends too early"):
        unpack_rle(bomb, 20_000_000, 1, 1)
    with pytest.raises(ValueError, match="another number of segments"):
        unpack_rle(bomb, 10, 3, 1)


@given(st.binary(min_size=1, max_size=300))
def test_run_lengths_as_pydicom_packs_them_are_unpacked(plain):
    segment = bytes(_encode_segment(plain, len(plain)))
    assert unpack_rle(struct.pack("<16L", 1, 64, *[0] * 14) + segment, len(plain), 1, 1) == plain


def test_a_file_whose_preamble_was_cut_off_is_known_by_its_meta_information():
    whole, cut = (dicom(noise(), without_preamble=without) for without in (False, True))
    assert picture_format(cut[:HEAD]) == picture_format(whole[:HEAD]) == "DICOM"
    assert np.array_equal(decode(cut).image, noise())
    assert patient_of(cut) == patient_of(whole)


def test_a_preamble_that_poses_as_a_tiff_changes_nothing():
    assert decode(b"II*\x00" + dicom(noise())[4:]).format == "DICOM"


def test_a_report_is_no_picture():
    report = Dataset()
    report.SOPClassUID, report.SOPInstanceUID, report.PatientID = "1.2.840.10008.5.1.4.1.1.88.11", "1.2.3", NUMBER
    with pytest.raises(ImageError, match="holds no pixels, as a report"):
        decode(written(report))


def test_half_a_file_is_damaged():
    content = dicom(ramp(64, 64))
    with pytest.raises(ImageError, match="DICOM"):
        decode(content[: len(content) // 2])


def test_without_the_package_the_command_that_installs_it_is_given(monkeypatch):
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(ImageError, match=r"pip install 'eyebright\[medical\]'"):
        decode(b"\0" * 128 + b"DICM")
    with pytest.raises(MissingExtraError, match=r"pip install 'eyebright\[medical\]'"):
        patient_of(b"")


def test_the_patient_is_the_number_and_who_gave_it():
    content = dicom(ramp(), IssuerOfPatientID="Clinic A")
    assert patient_of(content) == f"{NUMBER}\nClinic A"
    assert patient_of(content) != patient_of(dicom(ramp()))
    assert patient_of(dicom(noise())) == patient_of(dicom(ramp())) == patient_of(dicom(ramp(), PatientID=f"{NUMBER} "))


def test_the_beginning_of_a_file_is_enough_for_the_patient():
    assert patient_of(dicom(ramp(200, 200))[:1000]) == f"{NUMBER}\n"
    assert patient_of(dicom(ramp(200, 200))[:200]) is None


@pytest.mark.parametrize("content", [b"", b"\0" * 128 + b"DICM", b"words", dicom(ramp(), PatientID="")])
def test_where_no_patient_is_told_there_is_none(content):
    assert patient_of(content) is None


def test_a_deflated_header_is_not_unpacked():
    assert patient_of(dicom(ramp(), syntax=DeflatedExplicitVRLittleEndian)) is None


def test_a_patient_behind_much_else_is_still_found():
    icon = Dataset()
    icon.PixelData, icon["PixelData"].VR = bytes(100_000), "OW"
    content = dicom(ramp(), ReferencedImageSequence=[icon])  # group 0008, before the patient's 0010
    assert patient_of(content[: 2**16]) is None
    assert find_patient(lambda count: content[:count]) == f"{NUMBER}\n"


def test_a_file_that_cannot_be_fetched_has_no_patient():
    def start(count):
        raise ImageError("The entry in the zip cannot be read.")

    assert find_patient(start) is None


def test_patients_are_numbered_in_order_and_named_by_nothing_else():
    groups, notes = patient_groups({"a": "Roe", "b": None, "c": "Doe", "d": "Roe"})
    assert groups == {"a": "patient-1", "c": "patient-2", "d": "patient-1"}
    assert notes == (
        "No patient was found in 1 of 4 DICOM files; each is a group of its own.",
        "3 DICOM files are of 2 patients; each patient is a group.",
    )
    assert patient_groups({}) == ({}, ())


def test_one_patient_for_all_is_taken_for_a_blanked_number():
    groups, (note,) = patient_groups(dict.fromkeys("abc", "ANONYMOUS"))
    assert groups == {}
    assert "All 3 DICOM files" in note
    assert "ANONYMOUS" not in note


def said_of(content):
    try:
        decoded = decode(content)
    except ImageError as error:
        return [str(error), repr(error.__cause__)]
    assert (decoded.image.dtype, decoded.image.ndim) == (np.uint8, 3)
    return list(decoded.warnings)


def leaks(texts):
    return [text for text in texts for secret in SECRETS if secret in text]


def test_nothing_of_the_person_is_kept_or_said(caplog):
    caplog.set_level(logging.DEBUG)
    odd = dicom(ramp(), NumberOfFrames=2, BurnedInAnnotation="YES")
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        said = [*decode(dicom(ramp())).warnings, repr(decode(dicom(noise())))]
        patient_of(odd)
        for place in range(130, len(odd), 7):
            said += said_of(odd[:place])
    assert leaks([*said, *(str(one.message) for one in warned), *caplog.messages]) == []
    assert warned == []


def test_what_pydicom_warns_about_is_not_passed_on():
    padded = dicom(ramp(16, 16), Rows=8, WindowCenter=2000, WindowWidth=1000)
    with pytest.warns(UserWarning, match="larger than the given"):
        pydicom.dcmread(pydicom.filebase.DicomBytesIO(padded)).pixel_array  # noqa: B018
    decoded = decode(padded)
    assert (decoded.height, decoded.width, decoded.warnings) == (8, 16, ())


def test_threads_read_without_a_word_to_each_other(caplog):
    caplog.set_level(logging.DEBUG)
    padded, picture = dicom(ramp(16, 16), Rows=8, WindowCenter=2000, WindowWidth=1000), png()
    with ThreadPoolExecutor(4) as pool:
        decoded = list(pool.map(decode, [padded, picture] * 40))
    assert {one.warnings for one in decoded} == {()}
    assert leaks(caplog.messages) == []
    assert not [record for record in caplog.records if record.name == "pydicom"]


def test_only_elements_of_pixels_are_read():
    dataset = room._pixel_header(dicom(ramp(), WindowCenter=3, WindowWidth=5))
    assert {element.tag.group for element in dataset} == {0x0028, 0x7FE0}


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(["plain", "rle", "jpeg"]), st.data())
def test_damaged_files_give_a_picture_or_an_image_error_without_a_name(kind, data):
    content = bytearray(DAMAGED[kind])
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(132, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = bytes(content[: data.draw(st.integers(132, len(content)))])
    patient_of(content)
    assert leaks(said_of(content)) == []


DAMAGED = {
    "plain": dicom(ramp(), WindowCenter=3, WindowWidth=5, VOILUTSequence=table([1, 2, 3])),
    "rle": dicom(ramp(), syntax=RLELossless),
    "jpeg": dicom(noise()[..., 0], syntax=JPEGBaseline8Bit, frames=[encoded(noise()[..., 0], "JPEG")]),
}


def test_the_limits_are_those_of_every_picture(monkeypatch):
    monkeypatch.setattr(limits, "MAX_PIXELS", 255)
    with pytest.raises(ImageError, match="megapixels"):
        decode(dicom(ramp(16, 16)))
