"""Files are whole or absent, whatever happens in the middle."""

import errno
import hashlib
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eyebright.core import files
from eyebright.core.errors import DataError, ResourceError


def refuse(code):
    def fail(*arguments, **options):
        raise OSError(code, os.strerror(code))

    return fail


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_writing_replaces_the_file_and_leaves_nothing_beside_it(tmp_path):
    files.write_text(tmp_path / "a.txt", "old")
    files.write_text(tmp_path / "a.txt", "new, grün")
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "new, grün"
    assert names_in(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077])
def test_files_and_folders_are_as_open_as_the_umask_says(tmp_path, umask):
    before = os.umask(umask)
    try:
        files.write_text(tmp_path / "a.txt", "x")
        with files.new_directory(tmp_path / "bundle"):
            pass
    finally:
        os.umask(before)
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o666 & ~umask
    assert (tmp_path / "bundle").stat().st_mode & 0o777 == 0o777 & ~umask


def test_writing_makes_the_folders_above(tmp_path):
    files.write_bytes(tmp_path / "deep" / "er" / "a.bin", b"x")
    assert (tmp_path / "deep/er/a.bin").read_bytes() == b"x"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES, errno.EROFS])
def test_a_rename_that_fails_keeps_the_old_file(tmp_path, monkeypatch, code):
    files.write_text(tmp_path / "a.txt", "old")
    monkeypatch.setattr(os, "replace", refuse(code))
    with pytest.raises(ResourceError, match="could not be written"):
        files.write_text(tmp_path / "a.txt", "new")
    assert (tmp_path / "a.txt").read_text() == "old"
    assert names_in(tmp_path) == ["a.txt"]


def test_a_disk_that_fills_up_while_writing_keeps_the_old_file(tmp_path, monkeypatch):
    files.write_text(tmp_path / "a.txt", "old")
    monkeypatch.setattr(os, "fsync", refuse(errno.ENOSPC))
    with pytest.raises(ResourceError, match="No space left on device"):
        files.write_text(tmp_path / "a.txt", "new")
    assert (tmp_path / "a.txt").read_text() == "old"
    assert names_in(tmp_path) == ["a.txt"]


def test_an_interrupt_while_writing_leaves_no_litter(tmp_path, monkeypatch):
    def interrupt(handle):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        files.write_text(tmp_path / "a.txt", "new")
    assert names_in(tmp_path) == []


def test_json_that_is_not_finite_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(tmp_path / "a.json", {"loss": float("nan")})
    assert names_in(tmp_path) == []


def test_a_new_directory_appears_only_when_its_block_ends(tmp_path):
    target = tmp_path / "bundle"
    with files.new_directory(target) as aside:
        (aside / "a.txt").write_text("x")
        assert not target.exists()
    assert names_in(target) == ["a.txt"]
    assert names_in(tmp_path) == ["bundle"]


def test_a_new_directory_replaces_the_whole_old_one(tmp_path):
    target = tmp_path / "bundle"
    for name in ("old.txt", "new.txt"):
        with files.new_directory(target) as aside:
            (aside / name).write_text("x")
    assert names_in(target) == ["new.txt"]
    assert names_in(tmp_path) == ["bundle"]


def fill_and_fail(target, failure):
    with files.new_directory(target) as aside:
        (aside / "half.txt").write_text("x")
        raise failure


@pytest.mark.parametrize("failure", [DataError("unfit"), KeyboardInterrupt()])
def test_a_block_that_fails_leaves_the_old_directory(tmp_path, failure):
    target = tmp_path / "bundle"
    with files.new_directory(target) as aside:
        (aside / "old.txt").write_text("x")
    with pytest.raises(type(failure)):
        fill_and_fail(target, failure)
    assert names_in(target) == ["old.txt"]
    assert names_in(tmp_path) == ["bundle"]


def test_a_file_of_the_users_that_cannot_be_read_is_not_blamed_on_the_directory(tmp_path):
    target = tmp_path / "bundle"
    with pytest.raises(FileNotFoundError, match="model"), files.new_directory(target):
        (tmp_path / "model").read_bytes()
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("named", [True, False])
def test_what_the_disk_refuses_within_the_directory_is_told_as_the_directory(tmp_path, named):
    said = "bundle could not be written: No space left"
    with pytest.raises(ResourceError, match=said), files.new_directory(tmp_path / "bundle") as aside:
        raise OSError(errno.ENOSPC, "No space left on device", *([str(aside / "probe")] if named else []))
    assert names_in(tmp_path) == []


def test_a_write_in_the_block_that_fails_names_its_own_file(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", refuse(errno.ENOSPC))
    with (
        pytest.raises(ResourceError, match=r"model\.onnx could not be written"),
        files.new_directory(tmp_path / "bundle") as aside,
    ):
        files.write_bytes(aside / "model.onnx", b"graph")
    assert names_in(tmp_path) == []


def test_a_rename_that_fails_half_way_puts_the_old_directory_back(tmp_path, monkeypatch):
    target = tmp_path / "bundle"
    with files.new_directory(target) as aside:
        (aside / "old.txt").write_text("x")
    really, calls = os.replace, []

    def second_call_fails(source, destination):
        calls.append(source)
        if len(calls) == 2:  # 1: the old one goes aside; 2: the new one takes its place; 3: the old one comes back
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        really(source, destination)

    monkeypatch.setattr(os, "replace", second_call_fails)
    with pytest.raises(ResourceError), files.new_directory(target) as aside:
        (aside / "new.txt").write_text("x")
    assert names_in(target) == ["old.txt"]
    assert names_in(tmp_path) == ["bundle"]


@given(st.binary(max_size=2000))
def test_the_hash_of_a_file_is_the_hash_of_its_bytes(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("hash") / "a.bin"
    path.write_bytes(content)
    assert files.sha256(path) == hashlib.sha256(content).hexdigest()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), JSON))
def test_the_hash_of_json_does_not_depend_on_the_order_of_keys(value):
    assert files.sha256_of_json(value) == files.sha256_of_json(dict(reversed(value.items())))


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"EYEBRIGHT_CACHE": "/a", "XDG_CACHE_HOME": "/b", "HOME": "/c"}, "/a"),
        ({"XDG_CACHE_HOME": "/b", "HOME": "/c"}, "/b/eyebright"),
        ({"HOME": "/c"}, "/c/.cache/eyebright"),
    ],
)
def test_the_cache_is_where_the_environment_says(monkeypatch, environment, expected):
    for name in ("EYEBRIGHT_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert str(files.cache_home()) == expected
