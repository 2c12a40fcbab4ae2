"""The shortcut probe on pictures with planted faults: the right cue must be named, and nothing where nothing was planted."""

import dataclasses
import io

import numpy as np
import pytest
from pictures import encoded, jpeg, png, real_data_home
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFilter

from eyebright.data.audit import audit
from eyebright.data.open import open_source
from eyebright.data.source import Sample, Source
from eyebright.verbs.making.suspecting import shortcuts_of

EACH = 24
SIZE = 96


def photograph(seed):
    """Soft shapes of any colour with a little grain: nothing in it depends on the class."""
    rng = np.random.default_rng(seed)
    shapes = Pillow.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)).resize((SIZE, SIZE), Pillow.Resampling.BICUBIC)
    return Pillow.fromarray(np.clip(np.asarray(shapes) + rng.normal(0, 4, (SIZE, SIZE, 3)), 0, 255).astype(np.uint8))


def found_in(save, classes=2, group=None):
    """The shortcuts of a set of ``EACH`` photographs a class; ``save(picture, label, number)`` makes the file."""
    files, samples = {}, []
    for number in range(EACH * classes):
        label, key = number % classes, f"{number:03d}"
        files[key] = save(photograph(number), label, number)
        samples.append(Sample(key, label, group=group(number) if group else None))
    source = Source("planted", ("bulk", "glass", "paper")[:classes], tuple(samples), files.__getitem__)
    return {shortcut.cue: shortcut for shortcut in shortcuts_of(source, audit(source))}


def suspicious(found):
    return {cue for cue, shortcut in found.items() if shortcut.suspicious}


def drawn(picture, box, values):
    pixels = np.array(picture)
    top, left, bottom, right = box
    pixels[top:bottom, left:right] = values
    return Pillow.fromarray(pixels)


def with_exif(picture, **tags):
    exif = Pillow.Exif()
    for name, value in tags.items():
        exif[{"model": 0x0110, "software": 0x0131, "changed": 0x0132}[name]] = value
    return jpeg(picture, exif=exif)


def test_nothing_is_suspicious_where_nothing_was_planted():
    found = found_in(lambda picture, label, number: jpeg(picture), classes=3)
    assert suspicious(found) == set()
    assert {"border", "corners", "mean colour", "sharpness", "file size"} <= set(found)
    # Size, quality and format are the same for all, and there is no EXIF: they can say nothing, and nothing is said of them.
    assert not {"resolution", "JPEG quality", "file format", "camera", "software", "date"} & set(found)


def test_a_ruler_along_the_bottom_of_one_class_is_found_there():
    def save(picture, label, number):
        ticks = np.where(np.arange(SIZE) // 3 % 2, 255, 0)[None, :, None]
        return png(drawn(picture, (SIZE - 7, 0, SIZE, SIZE), ticks) if label == 1 else picture)

    border = found_in(save)["border"]
    assert border.suspicious
    assert border.score.value > 0.95
    assert "It is the bottom border that tells most" in border.sentence
    assert "--cut-border" in border.sentence


def test_a_date_printed_into_one_corner_of_one_class_of_three_is_found_there():
    def save(picture, label, number):
        rng = np.random.default_rng(number)
        digits = np.where(rng.random((6, 22, 1)) < 0.5, [[[255, 160, 0]]], [[[20, 0, 0]]])
        return png(drawn(picture, (SIZE - 9, SIZE - 24, SIZE - 3, SIZE - 2), digits) if label == 2 else picture)

    corners = found_in(save, classes=3)["corners"]
    assert corners.suspicious
    assert corners.chance == 0.5
    assert corners.sentence.startswith("The look of the corners alone tells paper from the other classes: right 9")
    assert "It is the bottom right corner that tells most" in corners.sentence


def test_one_camera_a_class_is_named():
    found = found_in(lambda picture, label, number: with_exif(picture, model=("Canon", "Nikon")[label]))
    assert suspicious(found) == {"camera"}
    assert found["camera"].score.value == 1.0
    assert "Nikon" in found["camera"].sentence
    assert "Canon" in found["camera"].sentence


def test_a_camera_for_each_of_three_classes_tells_them_all_apart():
    found = found_in(lambda picture, label, number: with_exif(picture, model=("Canon", "Nikon", "Sony")[label]), classes=3)
    assert found["camera"].chance == pytest.approx(1 / 3)
    assert found["camera"].score.value == 1.0
    assert "the 3 classes apart" in found["camera"].sentence


def test_one_program_a_class_is_named():
    found = found_in(lambda picture, label, number: with_exif(picture, software=("GIMP", "Photos")[label]))
    assert suspicious(found) == {"software"}


def test_one_day_a_class_is_named_and_an_hour_of_any_day_is_not():
    def save(picture, label, number, apart=3):
        return with_exif(picture, changed=f"2024:05:{10 + apart * label:02d} {8 + number // 2 % 10:02d}:00:00")

    assert suspicious(found_in(save)) == {"date"}
    assert suspicious(found_in(lambda *given: save(*given, apart=0))) == set()


def test_one_class_saved_at_another_quality_is_found():
    found = found_in(lambda picture, label, number: jpeg(picture, quality=(90, 82)[label]))
    assert "JPEG quality" in suspicious(found)
    assert "90" in found["JPEG quality"].sentence
    assert "82" in found["JPEG quality"].sentence


def test_one_class_at_another_size_is_found():
    def save(picture, label, number):
        return jpeg(picture.resize((120, 120)) if label else picture)

    found = found_in(save)
    assert "resolution" in suspicious(found)
    assert "Usual for bulk: 96 x 96; for glass: 120 x 120." in found["resolution"].sentence


def test_one_class_in_another_format_is_found():
    found = found_in(lambda picture, label, number: encoded(picture, ("PNG", "BMP")[label]))
    assert "file format" in suspicious(found)


def test_one_blurred_class_of_three_is_found():
    def save(picture, label, number):
        return png(picture.filter(ImageFilter.GaussianBlur(1)) if label == 0 else picture)

    sharpness = found_in(save, classes=3)["sharpness"]
    assert sharpness.suspicious
    assert "bulk from the other classes" in sharpness.sentence


def test_a_colour_cast_is_found_and_said_with_care():
    def save(picture, label, number):
        return png(
            Pillow.fromarray(np.clip(np.asarray(picture) * (0.4, 1, 1.0), 0, 255).astype(np.uint8)) if label else picture
        )

    colour = found_in(save)["mean colour"]
    assert colour.suspicious
    assert "may well be the subject's own colour" in colour.sentence


def test_half_of_a_class_with_its_own_camera_is_enough():
    found = found_in(lambda picture, label, number: with_exif(picture, model="Nikon" if number % 4 == 1 else "Canon"))
    assert suspicious(found) == {"camera"}


def test_a_cue_that_only_knows_the_patient_again_is_no_shortcut():
    # Four pictures a patient, a camera a patient: who knows the patient knows the label, and of a new patient nothing.
    def patient(number):
        return f"{number % 2}-{number // 8}"

    def save(picture, label, number):
        return with_exif(picture, model=patient(number))

    assert suspicious(found_in(save)) == {"camera"}
    assert suspicious(found_in(save, group=patient)) == set()


def test_copies_of_a_picture_do_not_vouch_for_each_other():
    # Every picture four times, with a camera of its own: without the copies a camera says nothing of another picture.
    files = {
        f"{number:03d}-{copy}": with_exif(photograph(number), model=str(number)) for number in range(48) for copy in "abcd"
    }
    samples = tuple(Sample(key, int(key[:3]) % 2) for key in sorted(files))
    source = Source("copies", ("bulk", "glass"), samples, files.__getitem__)
    assert not [shortcut for shortcut in shortcuts_of(source, audit(source)) if shortcut.suspicious]


def test_pictures_without_a_label_and_unreadable_ones_are_left_out():
    files = {f"{number:02d}": png(photograph(number)) for number in range(20)}
    samples = tuple(Sample(key, (-1 if int(key) > 17 else int(key) % 2)) for key in files)
    source = Source("some", ("bulk", "glass"), samples, {**files, "00": b"cut"}.__getitem__)
    assert {shortcut.score.n for shortcut in shortcuts_of(source, audit(source))} == {17}


def test_arrays_of_one_size_have_only_the_cues_of_their_pixels():
    samples = tuple(Sample(f"{number:02d}", number % 2) for number in range(40))
    source = Source("arrays", ("bulk", "glass"), samples, lambda key: np.asarray(photograph(int(key))))
    cues = {shortcut.cue for shortcut in shortcuts_of(source, audit(source))}
    assert cues <= {"border", "corners", "mean colour", "exposure", "sharpness"}
    assert {"border", "mean colour"} <= cues


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "group", "expected"),
    [
        ("rice_leaf", None, set()),
        ("trashnet", None, set()),
        # The X-rays of healthy children come from larger originals: what is left of that is their sharpness, at the border too.
        ("chest_xray", r"(?P<group>person\d+|IM-\d+)", {"sharpness", "border"}),
    ],
)
def test_of_the_real_sets_only_the_xrays_are_suspicious(name, group, expected):
    source = open_source(name, data_home=real_data_home(), group=group)
    found = shortcuts_of(source, audit(source))
    assert {shortcut.cue for shortcut in found if shortcut.suspicious} == expected
    assert all(shortcut.score.low <= shortcut.score.value <= shortcut.score.high for shortcut in found)


@pytest.mark.slow
def test_a_date_printed_onto_real_photographs_of_one_class_is_found():
    waste = open_source("trashnet", data_home=real_data_home())
    label_of = {sample.key: sample.label for sample in waste.samples}
    glass = waste.classes.index("glass")

    def read(key):
        picture = Pillow.open(io.BytesIO(waste.read(key))).convert("RGB")
        if label_of[key] == glass:
            day = 1 + sum(map(ord, key)) % 28
            place = (picture.width - 62, picture.height - 14)
            ImageDraw.Draw(picture).text(place, f"2019 5 {day}", fill=(255, 150, 0))
        return jpeg(picture, quality=90)

    stamped = dataclasses.replace(waste, read=read)
    corners = next(shortcut for shortcut in shortcuts_of(stamped, audit(stamped)) if shortcut.cue == "corners")
    assert corners.suspicious
    assert "glass from the other classes" in corners.sentence
    assert "bottom right corner" in corners.sentence
