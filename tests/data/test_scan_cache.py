"""What the audit found, kept between runs: the same findings without decoding, and never a reason to stop."""

import dataclasses
import errno
import os
from pathlib import Path

import numpy as np
import pytest
from pictures import class_folders, noise, png

from eyebright.data import audit as auditing
from eyebright.data import scan_cache as room
from eyebright.data.audit import audit
from eyebright.data.folder import folder_source
from eyebright.data.scan_cache import ScanCache
from eyebright.images.decode import decode_any
from eyebright.images.phash import SIDE


@pytest.fixture
def decoded(monkeypatch):
    """How many pictures were decoded; every audit counts as slow enough to be kept."""
    monkeypatch.setattr(auditing, "WORTH_KEEPING", 0.0)
    counts = []

    def spy(content, **options):
        counts.append(1)
        return decode_any(content, **options)

    monkeypatch.setattr(auditing, "decode_any", spy)
    return counts


@pytest.fixture
def source(tmp_path):
    """Ten pictures: two exact copies, one re-encoded, one flat, one file that is no picture."""
    folder = class_folders(tmp_path / "data", {"a": 4, "b": 3})
    large = noise(96, 80, seed=5)
    for name in ("a/copy.png", "b/copy.png"):
        (folder / name).write_bytes(png(large))
    (folder / "a" / "flat.png").write_bytes(png(np.full((70, 70, 3), 90, np.uint8)))
    (folder / "b" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    return folder_source(folder)


def test_a_second_audit_finds_the_same_and_decodes_only_what_fails(source, tmp_path, decoded):
    first = audit(source, cache=tmp_path / "cache")
    count = len(decoded)
    second = audit(source, cache=tmp_path / "cache")
    assert first == second == audit(source)
    assert first.duplicates
    assert first.unreadable
    # The broken file is tried again; then all were decoded once more without a cache.
    assert len(decoded) == count + 1 + len(source.samples)


def test_an_audit_for_exact_copies_uses_what_is_known_and_keeps_nothing_new(source, tmp_path, decoded):
    audit(source, cache=tmp_path / "cache", depth="exact")
    assert not list((tmp_path / "cache").rglob("*"))
    audit(source, cache=tmp_path / "cache")
    decoded.clear()
    assert audit(source, cache=tmp_path / "cache", depth="exact") == audit(source, depth="exact")
    assert len(decoded) == 1 + len(source.samples)


def test_a_changed_file_is_read_again(source, tmp_path, decoded):
    audit(source, cache=tmp_path / "cache")
    decoded.clear()
    (tmp_path / "data" / "a" / "flat.png").write_bytes(png(noise(70, 71, seed=9)))
    found = audit(source, cache=tmp_path / "cache")
    assert found.scanned["a/flat.png"].width == 71 or found.scanned["a/flat.png"].height == 71
    assert len(decoded) == 2


def test_another_way_of_decoding_finds_anew(source, tmp_path, decoded, monkeypatch):
    audit(source, cache=tmp_path / "cache")
    decoded.clear()
    monkeypatch.setattr(room, "revision", lambda: "another")
    audit(source, cache=tmp_path / "cache")
    assert len(decoded) == len(source.samples)


@pytest.mark.parametrize("harm", [lambda old: old[: len(old) // 2], lambda old: b"", lambda old: old.replace(b'"a', b'"@')])
def test_damage_costs_the_cache_only(source, tmp_path, decoded, harm):
    expected = audit(source, cache=tmp_path / "cache")
    (file,) = (tmp_path / "cache").rglob("*.safetensors")
    file.write_bytes(harm(file.read_bytes()))
    assert audit(source, cache=tmp_path / "cache") == expected


def test_a_full_disk_costs_the_cache_only(source, tmp_path, decoded, monkeypatch):
    def refuse(*given):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", refuse)
    audit(source, cache=tmp_path / "cache")
    assert not list((tmp_path / "cache").rglob("*.safetensors"))


def test_numbers_that_are_not_finite_come_back_as_they_were(source, tmp_path, decoded):
    found = audit(source)
    scanned = found.scanned["a/flat.png"]
    strange = dataclasses.replace(scanned, cues=dataclasses.replace(scanned.cues, sharpness=(-np.inf, 1.5)))
    cache = ScanCache(tmp_path)
    cache.put("0" * 64, (strange, None))
    cache.flush()
    assert ScanCache(tmp_path)._known["0" * 64] == (strange, None)


def test_what_is_soon_done_again_is_not_kept(source, tmp_path):
    audit(source, cache=tmp_path / "cache")
    assert not list((tmp_path / "cache").rglob("*.safetensors"))


def test_the_folder_is_its_owners_alone(source, tmp_path, decoded):
    audit(source, cache=tmp_path / "home" / "cache")
    assert oct((tmp_path / "home" / "cache").stat().st_mode)[-3:] == "700"


def test_another_users_folder_is_done_without(source, tmp_path, decoded, monkeypatch):
    expected = audit(source, cache=tmp_path / "cache")

    def refuse(self, pattern):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("pathlib.Path.glob", refuse)
    monkeypatch.setattr("pathlib.Path.rglob", refuse)
    assert audit(source, cache=tmp_path / "cache") == expected


def test_what_no_cues_were_taken_of_is_read_again_once_they_are_wanted(source, tmp_path, decoded, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(auditing, "probed_keys", lambda source: frozenset())
        plain = audit(source, cache=tmp_path / "cache")
        decoded.clear()
        assert audit(source, cache=tmp_path / "cache") == plain
        assert len(decoded) == 1  # the broken file
    assert audit(source, cache=tmp_path / "cache") == audit(source)
    assert len(decoded) == 1 + 2 * len(source.samples)


def test_files_that_were_not_used_for_longest_go_first(source, tmp_path, decoded, monkeypatch):
    audit(source, cache=tmp_path)
    (first,) = tmp_path.rglob("*.safetensors")
    cache = ScanCache(tmp_path)
    scanned = next(iter(audit(source).scanned.values()))
    cache.put("f" * 64, (scanned, None))
    cache.flush()
    files = list(tmp_path.rglob("*.safetensors"))
    for file in files:
        os.utime(file, (1000, 1000))
    audit(source, cache=tmp_path)  # uses the first alone
    assert {file for file in files if file.stat().st_mtime > 2000} == {first}


def test_more_new_findings_than_fit_are_kept_up_to_the_limit(source, tmp_path, monkeypatch):
    scanned = next(iter(audit(source).scanned.values()))
    thumb = np.zeros((SIDE, SIDE), dtype=np.uint8)
    monkeypatch.setattr(room, "LIMIT", 20 * (thumb.nbytes + 2048))
    before = ScanCache(tmp_path)
    for number in range(1000):
        before.put(f"{number:064}", (scanned, thumb))
    assert len(before._new) < 40  # the others take no memory
    before.flush()
    (file,) = tmp_path.rglob("*.safetensors")
    assert 0.8 * room.LIMIT < file.stat().st_size <= room.LIMIT
    known = ScanCache(tmp_path)._known
    assert sorted(known) == [f"{number:064}" for number in range(len(known))]  # the first ones
    before.put("f" * 64, (scanned, thumb))  # written, they leave room for more
    assert len(before._new) == 1


def test_a_field_more_finds_nothing_of_before():
    assert room._SCHEMA in str(ScanCache(Path("nowhere"))._folder)
