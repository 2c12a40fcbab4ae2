"""One declaration is the Python argument, the file and the flags; what is wrong is said in the user's terms."""

from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError, field_validator, model_validator

from eyebright.core.errors import SettingsError
from eyebright.core.settings import Settings, argument, read_toml


class Toy(Settings):
    data: Path = argument(help="the folder", positional=True)
    epochs: int = argument(10, help="passes", ge=1)
    resize_mode: Literal["squash", "crop"] = argument("squash", help="how")

    @field_validator("data")
    @classmethod
    def _not_root(cls, value: Path) -> Path:
        if value == Path("/"):
            raise ValueError("the root folder is no data set")
        return value


class Ask(Settings):
    data: str = argument(help="the folder", positional=True, min_length=1)
    images: tuple[str, ...] = argument((), help="pictures", positional=True)
    test: float = argument(0.2, help="the share held out")
    size: Literal["auto"] | int = argument("auto", help="pixels")
    low: int = argument(0, help="from")
    high: int = argument(9, help="to")

    @model_validator(mode="after")
    def _in_order(self):
        if self.low > self.high:
            raise ValueError("--low is above --high. Swap them.")
        return self


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"data": ""}, "DATA is ''; expected something that is not empty."),
        ({"data": 3}, "DATA is 3; expected a valid string."),
        ({"data": "x", "images": [3]}, "IMAGES is 3; expected a valid string."),
        ({"data": "x", "low": 10}, "--low is above --high. Swap them."),
        ({"data": "x", "test_fraction": 0.3}, "Unknown setting 'test_fraction'. Did you mean test?"),
        ({}, "The argument DATA is missing."),
    ],
)
def test_what_is_wrong_is_said_in_plain_words(flags, message):
    with pytest.raises(SettingsError) as caught:
        Ask.resolve(flags)
    assert str(caught.value) == message


def test_a_value_that_fits_none_of_several_types_is_named_by_its_flag_alone():
    with pytest.raises(SettingsError, match=r"--size is 'big'; expected 'auto'\. --size is 'big'; expected a valid integer"):
        Ask.resolve({"data": "x", "size": "big"})


def file_with(tmp_path, text):
    path = tmp_path / "settings.toml"
    path.write_text(text, encoding="utf-8")
    return path


@given(flag=st.none() | st.integers(1, 99), file=st.none() | st.integers(1, 99))
def test_a_flag_wins_over_the_file_and_the_file_over_the_default(tmp_path_factory, flag, file):
    config = file_with(tmp_path_factory.mktemp("s"), "" if file is None else f"epochs = {file}")
    flags = {"data": "x"} if flag is None else {"data": "x", "epochs": str(flag)}
    expected = next(value for value in (flag, file, 10) if value is not None)
    assert Toy.resolve(flags, config).epochs == expected


def test_a_file_may_write_dashes(tmp_path):
    assert Toy.resolve({"data": "x"}, file_with(tmp_path, 'resize-mode = "crop"')).resize_mode == "crop"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"data": "x", "epoch": 3}, "Unknown setting 'epoch'. Did you mean epochs?"),
        ({}, "The argument DATA is missing."),
        ({"data": "x", "epochs": "0"}, "--epochs is '0'; expected greater than or equal to 1."),
        ({"data": "x", "epochs": "many"}, "--epochs is 'many'; expected a valid integer"),
        ({"data": "x", "resize_mode": "stretch"}, "--resize-mode is 'stretch'; expected 'squash' or 'crop'."),
        ({"data": "/"}, "the root folder is no data set."),
    ],
)
def test_what_is_wrong_is_named_with_what_was_expected(flags, message):
    with pytest.raises(SettingsError) as caught:
        Toy.resolve(flags)
    assert message in str(caught.value)


def test_everything_that_is_wrong_is_said_at_once():
    with pytest.raises(SettingsError, match=r"DATA is missing.*--epochs is 0"):
        Toy.resolve({"epochs": 0})


def test_settings_cannot_be_changed():
    settings = Toy.resolve({"data": "x"})
    with pytest.raises(ValidationError, match="frozen"):
        settings.epochs = 3


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SettingsError, match=r"nowhere\.toml cannot be read: No such file"):
        read_toml(tmp_path / "nowhere.toml")


@pytest.mark.parametrize("content", [b"epochs = ", b"epochs = 1\nepochs = 2", b"\xff\xfe"])
def test_a_file_that_is_no_toml_is_refused(tmp_path, content):
    (tmp_path / "bad.toml").write_bytes(content)
    with pytest.raises(SettingsError, match="not valid TOML"):
        read_toml(tmp_path / "bad.toml")


def test_the_reasons_that_a_run_adds_are_not_settings(tmp_path):
    config = file_with(tmp_path, 'schema = 1\ndata = "x"\nepochs = 3\n[reasons]\nepochs = "the time budget"\n')
    assert Toy.resolve(config=config).epochs == 3
