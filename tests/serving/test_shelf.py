"""Names are fixed, versions are not: a reload that cannot prove itself changes nothing, one that can replaces all at once."""

import gc
import shutil
import weakref

import pytest

from eyebright.core.errors import DataError, ModelError, SettingsError
from eyebright.core.events import Note
from eyebright.serving.answers import RefusalError
from eyebright.serving.shelf import named_places, open_shelf, without_paths

from .shelves import bundle_of, edit


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("imagenet", "imagenet"),
        ("models/roses", "roses"),
        ("models/roses/", "roses"),
        ("runs/flowers-1", "flowers-1"),
        ("runs/flowers-1/bundle", "flowers-1"),
        ("runs/other/../flowers-1/bundle/", "flowers-1"),
        ("My leaves (2024)", "My-leaves-2024"),
        ("été/été", "t"),  # the letters that a URL may have, as in a run's own name
        ("b=models/roses", "b"),
        ("b=a=c", "b"),
        ("pets=imagenet", "pets"),
    ],
)
def test_a_model_is_known_by_its_folder_or_as_it_was_named(given, name):
    assert named_places([given]) == {name: given.partition("=")[2] or given}


def test_a_folder_with_an_equals_sign_in_its_name_is_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lr=0.1").mkdir()
    assert named_places(["lr=0.1"]) == {"lr-0.1": "lr=0.1"}


def test_the_folder_one_stands_in_has_a_name_too(tmp_path, monkeypatch):
    (tmp_path / "roses").mkdir()
    monkeypatch.chdir(tmp_path / "roses")
    assert named_places(["."]) == {"roses": "."}


def test_the_order_of_the_names_is_kept():
    assert list(named_places(["z", "a", "m=b"])) == ["z", "a", "m"]


@pytest.mark.parametrize("given", [["a/x", "b/x"], ["x", "x=y"], ["runs/x", "runs/x/bundle"]])
def test_two_models_of_one_name_are_refused(given):
    with pytest.raises(SettingsError, match=r"Two models are called 'x'.*NAME="):
        named_places(given)


@pytest.mark.parametrize("given", ["=x", "a b=x", "../x=y", "a/b=x", "-x=y", "x=", "é=x", "x" * 101 + "=y"])
def test_a_name_that_no_url_should_have_is_refused(given):
    with pytest.raises(SettingsError, match="is not NAME=PATH"):
        named_places([given])


def test_no_model_at_all_is_refused():
    with pytest.raises(SettingsError, match="one bundle at least"):
        named_places([])


# --- opening


@pytest.fixture
def folder(tmp_path):
    return bundle_of(tmp_path / "rose")


def replace(folder, seed):
    """Another version of the model in the same place."""
    shutil.rmtree(folder)
    bundle_of(folder, seed=seed)


def test_the_first_model_is_the_one_that_is_meant_without_a_name(folder, tmp_path):
    shelf = open_shelf([str(folder), f"other={bundle_of(tmp_path / 'two', seed=1)}"])
    assert shelf.names == ("rose", "other")
    assert shelf[None] is shelf["rose"]
    assert shelf["other"].about.name == "other"


def test_a_name_that_is_not_on_the_shelf_is_refused_with_the_nearest(folder):
    with pytest.raises(RefusalError, match=r"Unknown model 'rosa'. Did you mean rose\?") as refused:
        open_shelf([str(folder)])["rosa"]
    assert refused.value.status == 404


def test_a_model_that_is_missing_or_damaged_is_an_error_at_once(folder, tmp_path):
    with pytest.raises(DataError, match=r"holds no bundle\.json"):
        open_shelf([str(tmp_path / "nothing")])
    edit(folder, lambda manifest: manifest["probe"][0]["logits"].reverse())
    with pytest.raises(ModelError, match="off by"):
        open_shelf([str(folder)])


# --- loading again


def test_a_new_version_takes_the_place_of_the_old_one_which_is_freed(folder):
    shelf = open_shelf([str(folder)])
    old = shelf["rose"]
    replace(folder, seed=1)
    fresh = shelf.reload("rose")
    assert shelf["rose"] is fresh
    assert fresh.about.sha256 != old.about.sha256
    gone, session = weakref.ref(old), weakref.ref(old._predictor)
    del old
    gc.collect()
    assert gone() is session() is None


def test_a_version_that_cannot_prove_itself_leaves_the_old_one_and_says_why_without_a_path(folder):
    events = []
    shelf = open_shelf([str(folder)], on_event=events.append)
    old = shelf["rose"]
    replace(folder, seed=1)
    (folder / "model.onnx").write_bytes(b"damaged")
    with pytest.raises(RefusalError, match=r"rose/model.onnx has sha256") as refused:
        shelf.reload("rose")
    assert refused.value.status == 409
    assert str(folder.parent) not in refused.value.detail
    assert shelf["rose"] is old
    (note,) = [event for event in events if isinstance(event, Note)]
    assert str(folder) in note.text  # the log is the operator's own


def test_a_folder_that_is_gone_leaves_the_old_version(folder):
    shelf = open_shelf([str(folder)])
    shutil.rmtree(folder)
    with pytest.raises(RefusalError, match=r"rose holds no bundle\.json"):
        shelf.reload("rose")
    assert shelf["rose"].answer([b""])[0].error


def test_an_unknown_model_is_not_loaded(folder):
    with pytest.raises(RefusalError) as refused:
        open_shelf([str(folder)]).reload("../rose")
    assert refused.value.status == 404


def test_paths_of_this_computer_are_not_told(tmp_path):
    told = f"{tmp_path}/rose/model.onnx differs from /opt/x/y: see '/etc/z' (and/or 3/4 of it)."
    assert (
        without_paths(told, str(tmp_path / "rose"), "rose") == "rose/model.onnx differs from ...: see '...' (and/or 3/4 of it)."
    )


def test_a_short_place_is_no_letter_of_every_word():
    told = "a holds no bundle.json; 'a' and a/model.onnx were looked for as a bundle has them, not /data/a/b or ba/a-1."
    assert without_paths(told, "a", "cats") == (
        "cats holds no bundle.json; 'cats' and cats/model.onnx were looked for as a bundle has them, not ... or ba/a-1."
    )


def test_a_place_in_several_spellings_is_named_once_and_its_neighbours_are_dots(tmp_path, monkeypatch):
    (tmp_path / "runs" / "7").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    here = str(tmp_path)
    told = f"{here}/runs/7/model.onnx, runs/7/model.onnx and ./runs/7 differ; {here}/runs/70 and {here}/runs/7.old do not."
    assert without_paths(told, "./runs/7", "runs") == "runs/model.onnx, runs/model.onnx and runs differ; ... and ... do not."


def test_paths_of_windows_are_not_told_either():
    place = r"C:\srv\my models\a"
    told = rf"{place}\bundle.json is damaged, see D:\x\y, \\host\share or E:/z."
    assert without_paths(told, place, "cats") == r"cats\bundle.json is damaged, see ..., ... or ..."
    quoted = f"{place!r} and 'C:\\\\Program Files\\\\z'"  # with two backslashes for each, as an OSError has them
    assert without_paths(quoted, place, "cats") == "'cats' and '...'"


def test_a_quoted_path_with_spaces_goes_as_a_whole():
    assert without_paths("[Errno 13] Permission denied: '/srv/my models/x'", "rose", "rose") == (
        "[Errno 13] Permission denied: '...'"
    )
