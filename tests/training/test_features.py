"""The cache of features: nothing is computed twice, half a file costs nothing but time, and a full disk never stops a run."""

import errno
import os

import numpy as np
import pytest

from eyebright.core.errors import ResourceError
from eyebright.training import features as room
from eyebright.training.features import FeatureCache, embed
from eyebright.training.fit import outputs_of
from eyebright.training.recipe import Recipe

from .toys import coloured, small_cnn

RECIPE = Recipe(epochs=1)


def names(n, start=0):
    """The sha256s of n contents, made up."""
    return [f"{number:064x}" for number in range(start, start + n)]


@pytest.fixture
def asked(monkeypatch):
    """How many pictures the network was asked for, call by call."""
    counts = []

    def spy(network, pictures, recipe, **options):
        counts.append(len(pictures))
        return outputs_of(network, pictures, recipe, **options)

    monkeypatch.setattr(room, "outputs_of", spy)
    return counts


def test_embedded_features_are_the_networks_own(tmp_path):
    network, data = small_cnn(), coloured(9)
    found = embed(network, data.pictures, names(9), RECIPE, FeatureCache(tmp_path, "a"))
    np.testing.assert_array_equal(found, outputs_of(network, data.pictures, RECIPE)[1])


def test_a_second_run_computes_nothing_and_a_new_picture_only_itself(tmp_path, asked):
    network, data = small_cnn(), coloured(9)
    first = embed(network, data.pictures[:8], names(8), RECIPE, FeatureCache(tmp_path, "a"))
    second = embed(network, data.pictures[:8], names(8), RECIPE, FeatureCache(tmp_path, "a"))
    assert asked == [8]
    np.testing.assert_array_equal(first, second)
    embed(network, data.pictures, names(9), RECIPE, FeatureCache(tmp_path, "a"))
    assert asked == [8, 1]


def test_features_are_found_by_content_not_by_place(tmp_path, asked):
    network, data = small_cnn(), coloured(6)
    first = embed(network, data.pictures, names(6), RECIPE, FeatureCache(tmp_path, "a"))
    turned = embed(network, data.pictures[::-1], names(6)[::-1], RECIPE, FeatureCache(tmp_path, "a"))
    np.testing.assert_array_equal(turned, first[::-1])
    assert asked == [6]


def test_another_backbone_never_gets_these_features(tmp_path, asked):
    data = coloured(4)
    embed(small_cnn(0), data.pictures, names(4), RECIPE, FeatureCache(tmp_path, "a"))
    found = embed(small_cnn(1), data.pictures, names(4), RECIPE, FeatureCache(tmp_path, "b"))
    assert asked == [4, 4]
    np.testing.assert_array_equal(found, outputs_of(small_cnn(1), data.pictures, RECIPE)[1])


def test_an_interruption_loses_one_block_at_most(tmp_path, monkeypatch, asked):
    monkeypatch.setattr(room, "BLOCK", 4)
    network, data = small_cnn(), coloured(10)
    cache = FeatureCache(tmp_path, "a")
    add = cache.add

    def once(contents, features):
        add(contents, features)
        raise KeyboardInterrupt

    monkeypatch.setattr(cache, "add", once)
    with pytest.raises(KeyboardInterrupt):
        embed(network, data.pictures, names(10), RECIPE, cache)
    embed(network, data.pictures, names(10), RECIPE, FeatureCache(tmp_path, "a"))
    assert asked == [4, 4, 2]


def test_half_a_file_is_removed_and_computed_again(tmp_path, asked):
    network, data = small_cnn(), coloured(4)
    embed(network, data.pictures, names(4), RECIPE, FeatureCache(tmp_path, "a"))
    (file,) = (tmp_path / "a").iterdir()
    file.write_bytes(file.read_bytes()[:50])
    cache = FeatureCache(tmp_path, "a")
    assert not file.exists()
    embed(network, data.pictures, names(4), RECIPE, cache)
    assert asked == [4, 4]


@pytest.mark.parametrize("error", [ResourceError("full"), OSError(errno.ENOSPC, "full")])
def test_a_disk_that_refuses_costs_the_cache_but_not_the_features(tmp_path, monkeypatch, error):
    def refuse(path, content):
        raise error

    monkeypatch.setattr(room, "write_bytes", refuse)
    network, data = small_cnn(), coloured(4)
    found = embed(network, data.pictures, names(4), RECIPE, FeatureCache(tmp_path, "a"))
    np.testing.assert_array_equal(found, outputs_of(network, data.pictures, RECIPE)[1])
    assert not list(tmp_path.rglob("*.safetensors"))


def test_a_cache_of_another_user_is_used_though_nothing_in_it_can_be_touched(tmp_path, monkeypatch, asked):
    network, data = small_cnn(), coloured(4)
    embed(network, data.pictures, names(4), RECIPE, FeatureCache(tmp_path, "a"))

    def refuse(*arguments, **options):
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "utime", refuse)
    embed(network, data.pictures, names(4), RECIPE, FeatureCache(tmp_path, "a"))
    assert asked == [4]
    (file,) = (tmp_path / "a").iterdir()
    file.write_bytes(b"half")
    monkeypatch.setattr(room.Path, "unlink", refuse)
    embed(network, data.pictures, names(4), RECIPE, FeatureCache(tmp_path, "a"))
    assert asked == [4, 4]


def test_only_the_features_that_are_asked_for_are_read(tmp_path, monkeypatch):
    for number in range(3):  # three runs, one file each
        cache = FeatureCache(tmp_path, "a")
        cache.add([names(3)[number]], np.full((1, 4), number, dtype=np.float32))
    read, array = [], room._array
    monkeypatch.setattr(room, "_array", lambda file, name: read.append(name) or array(file, name))
    cache = FeatureCache(tmp_path, "a")
    cache.load(names(2))
    assert (read.count("hashes"), read.count("features")) == (3, 2)
    np.testing.assert_array_equal(cache.get(names(3)[1]), [1, 1, 1, 1])
    assert cache.get("ff" * 32) is None


def test_features_that_another_run_has_removed_meanwhile_are_computed_again(tmp_path, asked):
    network, data = small_cnn(), coloured(4)
    embed(network, data.pictures, names(4), RECIPE, FeatureCache(tmp_path, "a"))
    cache = FeatureCache(tmp_path, "a")
    for file in (tmp_path / "a").iterdir():
        file.unlink()
    embed(network, data.pictures, names(4), RECIPE, cache)
    assert asked == [4, 4]


def test_what_was_not_used_for_longest_goes_first(tmp_path, monkeypatch):
    for age, name in enumerate(("new", "middle", "old")):
        cache = FeatureCache(tmp_path, name)
        cache.add(names(1), np.zeros((1, 8), dtype=np.float32))
        (file,) = (tmp_path / name).iterdir()
        os.utime(file, (1e9 - age, 1e9 - age))
    size = file.stat().st_size
    FeatureCache(tmp_path, "middle")  # looked into, nothing used of it
    FeatureCache(tmp_path, "old").load(names(1))  # used now: it is the newest from here on
    monkeypatch.setattr(room, "CACHE_LIMIT", 2 * size)
    FeatureCache(tmp_path, "more").add(names(1), np.zeros((1, 8), dtype=np.float32))
    assert {folder.name for folder in tmp_path.iterdir() if any(folder.iterdir())} == {"old", "more"}
