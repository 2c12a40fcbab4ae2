"""How pictures are prepared is a value: it travels, it is checked, and old ones keep their meaning."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from eyebright.core.preprocess import Preprocess


def test_an_old_manifest_means_what_it_meant():
    old = (
        '{"height": 32, "width": 48, "resize": "crop", "crop_fraction": 0.875, "resampler": "pillow-bicubic", "colour": "grey"}'
    )
    spec = Preprocess.model_validate_json(old)
    assert spec == Preprocess(height=32, width=48, resize="crop", crop_fraction=0.875, colour="grey")
    assert spec.size == (32, 48)
    assert (spec.cut_border, spec.centre_crop, spec.white_balance, spec.equalise, spec.sharpen) == (
        0.0,
        1.0,
        "none",
        "none",
        0.0,
    )


@given(
    st.builds(
        Preprocess,
        height=st.integers(1, 4096),
        width=st.integers(1, 4096),
        cut_border=st.floats(0, 0.45),
        centre_crop=st.floats(0.01, 1),
        white_balance=st.sampled_from(["none", "grey-world", "per-channel"]),
        equalise=st.sampled_from(["none", "global", "clahe"]),
        clahe_clip=st.floats(1, 256),
        clahe_grid=st.integers(1, 32),
        sharpen=st.floats(0, 5),
    )
)
def test_a_spec_comes_back_as_it_went(spec):
    assert Preprocess.model_validate_json(spec.model_dump_json()) == spec


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cut_border", 0.46),
        ("cut_border", -0.1),
        ("centre_crop", 0.0),
        ("centre_crop", 1.1),
        ("white_balance", "gray-world"),
        ("equalise", "local"),
        ("clahe_clip", 0.9),
        ("clahe_grid", 0),
        ("sharpen", -1),
        ("blur", 1),
    ],
)
def test_what_cannot_be_is_refused(name, value):
    with pytest.raises(ValidationError, match=name):
        Preprocess(height=8, width=8, **{name: value})
