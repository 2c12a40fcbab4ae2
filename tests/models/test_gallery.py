"""The gallery's figures: counted as the papers count, and the same in the results and on the page."""

import dataclasses
import itertools
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from eyebright.core import seeds

sys.path.append(str(Path(__file__).parents[2]))  # bench is no part of the package

from bench import gallery, gallery_page

pytestmark = pytest.mark.usefixtures("one_thread")


def entry(name):
    return next(one for one in gallery.entries() if one.name == name)


def test_the_page_says_what_the_results_say():
    made = gallery_page.page(
        [dataclasses.asdict(one) for one in gallery.entries()], gallery.read(gallery.COSTS), gallery.read(gallery.ACCURACY)
    )
    assert gallery.PAGE.read_text(encoding="utf-8") == made, "run: python -m bench.gallery --render"


def test_every_network_of_the_gallery_is_counted():
    assert set(gallery.read(gallery.COSTS)["rows"]) == {one.name for one in gallery.entries()}


def test_dense_layers_cost_a_multiply_add_a_weight():
    # 3,072 * 512 + 512 * 512 + 512 * 10; the biases are added without a product
    assert gallery.count(entry("mlp"))["multiply_adds"] == 1_572_864 + 262_144 + 5_120


def test_attention_is_counted_with_its_two_products():
    # 196 patches of 16 * 16 * 3 to 192; twelve blocks on 197 tokens: query, key and value, the way out, the two layers of the
    # perceptron, and two products of 197 * 197 * 192; the class token to 1,000 classes
    block = 197 * (192 * 3 * 192 + 192 * 192 + 2 * 192 * 768) + 2 * 197 * 197 * 192
    assert gallery.count(entry("deit_tiny"))["multiply_adds"] == 196 * 768 * 192 + 12 * block + 192 * 1000


def test_the_parameters_are_the_published_ones():
    # https://docs.pytorch.org/vision/stable/models.html, the table of classification weights
    assert gallery.count(entry("resnet50"))["parameters"] == 25_557_032
    assert gallery.count(entry("squeezenet1_1"))["parameters"] == 1_235_496


def test_latency_and_megabytes_are_of_the_written_form():
    found = gallery.speed(entry("lenet"), seconds=0.2)
    # 61,150 parameters of 4 bytes, and a graph around them
    assert 4 * 61_150 < 1e6 * found["megabytes"] < 4 * 61_150 + 60_000
    assert 0 < found["latency"]["median_ms"] <= found["latency"]["p99_ms"]
    assert found["latency"]["n"] >= 1


def test_the_training_learns_what_can_be_learned_and_ends_in_time(monkeypatch):
    ticks = itertools.count()
    monkeypatch.setattr(gallery.time, "perf_counter", lambda: next(ticks) / 4)  # every step takes a quarter of a second
    generator = np.random.default_rng(0)
    labels = torch.from_numpy(generator.integers(0, 2, 64))
    pictures = (
        torch.from_numpy(generator.integers(0, 100, (64, 3, 32, 32), dtype=np.uint8)) + 100 * labels[:, None, None, None].byte()
    )
    network = gallery.built(entry("mlp"), 32, 2)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        steps = gallery.train(network, pictures, labels, seeds.key_hashes([str(number) for number in range(64)]), seconds=30)
    assert steps == 119  # begun at 0.25, 0.5 ... 29.75 seconds
    assert (gallery.predicted(network, pictures) == labels).float().mean() > 0.9


def test_results_of_other_networks_are_kept(tmp_path):
    path = tmp_path / "results.json"
    gallery.keep(path, {"a": {"parameters": 1, "megabytes": 2.0}, "b": {"parameters": 3}}, {"threads": 2})
    gallery.keep(path, {"a": {"parameters": 4}}, {})
    assert gallery.read(path) == {
        "schema": 1, "threads": 2, "rows": {"a": {"parameters": 4, "megabytes": 2.0}, "b": {"parameters": 3}}
    }  # fmt: skip


def test_figures_of_two_machines_are_not_mixed(tmp_path):
    path = tmp_path / "results.json"
    gallery.refuse_a_mixture(path, {"machine": "this"})
    gallery.keep(path, {"a": {}}, {"machine": "this"})
    gallery.refuse_a_mixture(path, {"machine": "this", "threads": 2})
    with pytest.raises(SystemExit, match=r"was measured with another machine. Delete it"):
        gallery.refuse_a_mixture(path, {"machine": "that"})


def test_a_figure_that_was_not_measured_is_left_empty():
    made = gallery_page.page([dataclasses.asdict(entry("lenet"))], {"rows": {}}, {"rows": {}})
    assert "| `lenet` | LeNet-5 | 32 |  |  |  |  |  |" in made
    assert "latency has not been measured yet" in made
    assert "How quickly" not in made
