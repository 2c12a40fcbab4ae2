"""Classes and samples from a listing of names, wherever the listing comes from."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from images.dicoms import dicom, ramp

from eyebright.core.errors import DataError
from eyebright.data.layout import Listing, lay_out
from eyebright.data.names import HEAD


def listing(*files, directories=(), heads=None):
    return Listing("set", tuple(sorted(files)), tuple(directories), lambda name: (heads or {}).get(name, b""))


def test_a_listing_that_gives_no_beginnings_leaves_patients_unknown():
    head = dicom(ramp())[:HEAD]
    layout = lay_out(listing("a/1", "b/1", heads={"a/1": head, "b/1": head}))
    assert [sample.group for sample in layout.samples] == [None, None]
    assert layout.notes == ("No patient was found in 2 of 2 DICOM files; each is a group of its own.",)


def test_composed_and_decomposed_folders_are_one_class_and_a_clash_is_refused():
    decomposed = unicodedata.normalize("NFD", "é")
    layout = lay_out(listing("é/1.png", f"{decomposed}/2.png", "b/1.png"))
    assert layout.classes == ("b", "é")
    assert layout.paths["é/2.png"] == f"{decomposed}/2.png"
    with pytest.raises(DataError, match=r"differ only in how Unicode writes them: é/1\.png"):
        lay_out(listing("é/1.png", f"{decomposed}/1.png", "b/1.png"))


@given(st.lists(st.tuples(st.sampled_from("abc"), st.text("xyzé", min_size=1, max_size=3)), unique=True, min_size=1))
def test_the_layout_does_not_depend_on_the_order_of_the_files(pairs):
    files = [f"{label}/{name}.png" for label, name in pairs] + ["d/1.png", "e/1.png"]
    forward = lay_out(Listing("set", tuple(files), (), lambda name: b""))
    backward = lay_out(Listing("set", tuple(reversed(files)), (), lambda name: b""))
    assert (forward.classes, forward.samples) == (backward.classes, backward.samples)
    assert [sample.key for sample in forward.samples] == sorted(set(files))
