"""Bytes by place: the same from memory and from the disk, and no trace of them afterwards."""

import gc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eyebright.core.errors import ResourceError
from eyebright.data.spool import ByteFile, Spool


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("EYEBRIGHT_CACHE", str(folder))
    return folder


@given(st.lists(st.binary(max_size=20)), st.integers(0, 60), st.integers(0, 80), st.integers(0, 80))
def test_what_was_appended_is_read_by_its_place(pieces, memory, offset, count):
    spool = Spool(memory=memory)
    for piece in pieces:
        spool.append(piece)
    whole = b"".join(pieces)
    assert spool.size == len(whole)
    assert spool.on_disk == (len(whole) > memory)
    assert spool.read(offset, count) == whole[offset : offset + count]


def test_what_lies_on_the_disk_has_no_name_and_is_closed_with_its_owner(cache):
    spool = Spool(memory=3)
    spool.append(b"four")
    assert spool.on_disk
    assert list(cache.iterdir()) == []
    file = spool._file
    del spool
    gc.collect()
    assert file.closed


def test_a_disk_without_room_is_a_resource_error_that_says_what_helps(monkeypatch):
    monkeypatch.setenv("EYEBRIGHT_CACHE", "/dev/null/cache")  # a folder that cannot be made
    with pytest.raises(ResourceError, match="EYEBRIGHT_CACHE"):
        Spool(memory=3).append(b"four")


def test_a_file_is_read_where_it_lies(tmp_path):
    (tmp_path / "a").write_bytes(b"0123456789")
    assert ByteFile((tmp_path / "a").open("rb")).read(3, 4) == b"3456"
