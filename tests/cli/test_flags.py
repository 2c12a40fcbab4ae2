"""Flags are read by few rules, and what is wrong is answered with what would be right."""

from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eyebright.cli import flags
from eyebright.core.errors import SettingsError
from eyebright.core.settings import Settings, argument

from .conftest import ToySettings


class Ask(Settings):
    """A verb with a list of required words last."""

    model: str = argument(help="the model", positional=True)
    pictures: tuple[Path, ...] = argument(help="pictures", positional=True, min_length=1)
    top: int = argument(5, help="answers a picture", ge=1)


def values(*words, settings=ToySettings):
    return flags.parse("toy", list(words), settings).values


def test_only_what_was_given_is_in_the_values():
    assert values("blocks") == {"data": "blocks"}


@pytest.mark.parametrize("words", [("--epochs", "5"), ("--epochs=5",)])
def test_a_value_follows_its_flag(words):
    assert values("blocks", *words) == {"data": "blocks", "epochs": "5"}


def test_a_field_named_as_python_needs_it_is_a_plain_flag():
    class Fetch(Settings):
        from_: str | None = argument(None, help="where it comes from")

    assert values("--from", "there", settings=Fetch) == {"from_": "there"}
    assert "--from TEXT" in flags.help_text("toy", "About", "toy", Fetch)


def test_a_switch_goes_on_and_off():
    assert values("blocks", "--augment")["augment"] is True
    assert values("blocks", "--no-augment")["augment"] is False


def test_a_list_takes_words_up_to_the_next_flag():
    assert values("blocks", "--views", "identity", "mirror", "--epochs", "2")["views"] == ["identity", "mirror"]


def test_a_list_given_twice_adds_up():
    assert values("blocks", "--views", "identity", "--views", "mirror")["views"] == ["identity", "mirror"]


def test_a_flag_may_stand_between_positional_words():
    assert values("m", "--top", "3", "a.jpg", "b.jpg", settings=Ask) == {
        "model": "m",
        "pictures": ["a.jpg", "b.jpg"],
        "top": "3",
    }


@pytest.mark.parametrize("word", ["-1", "-.5", "-"])
def test_a_negative_number_and_a_lone_dash_are_values(word):
    assert values("blocks", "--lr", word)["lr"] == word


def test_after_two_dashes_everything_is_given_by_place():
    assert values("--", "--odd-name", "-x") == {"data": "--odd-name", "extra": ["-x"]}


def test_config_and_json_belong_to_the_command_not_to_the_verb():
    given_words = flags.parse("toy", ["blocks", "--config", "a.toml", "--json"], ToySettings)
    assert given_words == flags.Given({"data": "blocks"}, Path("a.toml"), True)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--epoch", "3"], "Unknown flag '--epoch'. Did you mean --epochs?"),
        (["--epoch=3"], "Unknown flag '--epoch'. Did you mean --epochs?"),
        (["--no-augmnt"], "Unknown flag '--no-augmnt'. Did you mean --no-augment?"),
        (["--no-epochs"], "Unknown flag '--no-epochs'. Did you mean --epochs?"),
        (["-e", "3"], "Unknown flag '-e'."),
        (["--zzzzzz"], "Unknown flag '--zzzzzz'. 'eyebright toy --help' lists the flags."),
        (["--data", "x"], "DATA is given by its place, not by the flag --data: eyebright toy DATA."),
        (["--dtaa", "x"], "Unknown flag '--dtaa'. Did you mean DATA? It is given by its place: eyebright toy DATA."),
        (["--epochs"], "--epochs needs a value: --epochs N."),
        (["--epochs", "--augment"], "--epochs needs a value"),
        (["--device"], "--device needs a value: --device auto|cpu|cuda."),
        (["--augment=yes"], "--augment takes no value, 'yes' was given. Write --augment or --no-augment."),
    ],
)
def test_a_wrong_flag_is_answered_with_the_right_one(words, message):
    with pytest.raises(SettingsError) as caught:
        values(*words)
    assert message in str(caught.value)


def test_a_word_too_many_is_refused():
    class Single(Settings):
        data: str = argument(help="x", positional=True)

    with pytest.raises(SettingsError, match="'two' is one argument too many; eyebright toy takes DATA"):
        values("one", "two", settings=Single)


def test_a_verb_without_json_refuses_the_flag():
    with pytest.raises(SettingsError, match="Unknown flag '--json'"):
        flags.parse("toy", ["--json"], ToySettings, json=False)


@given(st.lists(st.sampled_from(["a", "--epochs", "--views", "--augment", "--no-augment", "--", "3", "-1", "--x=y", "-q", ""])))
def test_any_words_give_values_or_a_settings_error(words):
    try:
        given_words = flags.parse("toy", words, ToySettings)
    except SettingsError:
        return
    assert set(given_words.values) <= set(ToySettings.model_fields)


@given(st.integers(1, 1000), st.booleans(), st.lists(st.sampled_from(["identity", "mirror"]), min_size=1))
def test_what_is_written_as_flags_comes_back_as_settings(epochs, augment, views):
    words = ["blocks", "--epochs", str(epochs), "--augment" if augment else "--no-augment", "--views", *views]
    settings = ToySettings.resolve(values(*words))
    assert (settings.epochs, settings.augment, settings.views) == (epochs, augment, tuple(views))


def test_help_is_asked_for_anywhere_before_two_dashes():
    assert flags.asks_for_help(["blocks", "--help"])
    assert flags.asks_for_help(["-h"])
    assert not flags.asks_for_help(["--", "--help"])


def test_help_shows_each_flag_with_its_default():
    said = flags.help_text("toy", "Play", "eyebright toy blocks/", ToySettings)
    assert said.startswith("Usage: eyebright toy DATA [EXTRA ...] [flags]\n\nPlay.\n")
    assert "  --epochs N              passes over the training pictures (default: 10)\n" in said
    assert "--augment, --no-augment" in said
    assert "(default: on)" in said
    assert "--device auto|cpu|cuda" in said
    assert "--lr X                  learning rate; None finds one\n" in said


def test_help_ends_with_an_example():
    example = "eyebright toy blocks/ --epochs 3"
    assert flags.help_text("toy", "Play", example, ToySettings).endswith(f"Example\n  {example}\n")


def test_help_fits_80_columns():
    class Wide(Settings):
        a_rather_long_name_of_a_flag: Literal["one-long-choice", "another-long-choice", "third-choice", "fourth"] = argument(
            "fourth", help="words " * 40
        )

    said = flags.help_text("toy", "Play", "eyebright toy", Wide)
    assert max(map(len, said.splitlines())) <= 80


class Kinds(Settings):
    """Every way to spell a type."""

    either: Literal["auto"] | int = argument("auto", help="x")
    maybe: Literal["a", "b"] | None = argument(None, help="x")
    switch: bool | None = argument(None, help="x")
    many: list[int] = argument([1, 2], help="x")


def test_a_type_says_what_stands_for_its_value():
    shapes = {argument_.name: (argument_.kind, argument_.metavar) for argument_ in flags.arguments_of(Kinds)}
    assert shapes == {"either": ("one", "auto|N"), "maybe": ("one", "a|b"), "switch": ("switch", ""), "many": ("many", "N")}
