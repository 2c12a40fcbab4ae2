"""Features by the quickest means that gives the network's own, and a graph that is written once for a backbone."""

import errno
import tempfile
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from eyebright.backends.features_ import GraphFeatures
from eyebright.backends.onnx_ import OnnxPredictor
from eyebright.backends.torch_ import TorchPredictor
from eyebright.core.bundle import Architecture
from eyebright.core.decision import Decision
from eyebright.core.errors import ModelError
from eyebright.core.preprocess import Preprocess
from eyebright.core.views import ONE_VIEW
from eyebright.models.catalogue import build_seeded
from eyebright.models.lite0 import lite0
from eyebright.training.fit import outputs_of
from eyebright.training.recipe import Recipe
from eyebright.verbs.making import bundling, embedding, judging, trying
from eyebright.verbs.making.bundling import write_bundle
from eyebright.verbs.making.choosing import Plan
from eyebright.verbs.making.embedding import backbone_name, features_name, graph_of, kept_graph, quick_embedder, quick_stages
from eyebright.verbs.making.judging import predictor_of
from eyebright.verbs.making.packing import Contents

SIDE = 12
ARCHITECTURE = Architecture(name="cnn", arguments={"height": SIDE, "width": SIDE, "hidden": 16})
PREPROCESS = Preprocess(height=SIDE, width=SIDE)
RECIPE = Recipe(epochs=0)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """A cache of the test's own: no graph is known at its beginning."""
    monkeypatch.setenv("EYEBRIGHT_CACHE", str(tmp_path / "cache"))


def network(seed=0):
    return build_seeded(ARCHITECTURE, 3, seed).eval()


def pictures(count=70):
    return np.random.default_rng(count).integers(0, 256, (count, 3, SIDE, SIDE), dtype=np.uint8)


def name_of(some):
    return backbone_name(some, ARCHITECTURE, PREPROCESS)


def refuse(*arguments, **options):
    raise ModelError("The exporter was asked.")


def test_the_graph_gives_the_network_s_features_in_order_at_any_batch():
    ours = network()
    graph = graph_of(ours, (SIDE, SIDE), name_of(ours))
    expected = outputs_of(ours, pictures(), RECIPE)[1]
    for threads, batch in ((1, 1), (2, 4), (3, 16), (2, 100)):
        heard = []
        found = GraphFeatures(graph, threads=threads, batch=batch)(pictures(), heard.append)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
        assert heard[-1] == 70
        assert heard == sorted(heard)


def test_the_batch_that_was_quickest_is_taken():
    ours = network()
    embedder = GraphFeatures(graph_of(ours, (SIDE, SIDE), name_of(ours)), threads=1)
    seconds = embedder.choose_batch(pictures(), (1, 2, 8))
    assert list(seconds) == [1, 2, 8]
    assert seconds[embedder.batch] == min(seconds.values())


def test_a_graph_is_written_once_and_then_kept(monkeypatch):
    ours = network()
    first = graph_of(ours, (SIDE, SIDE), name_of(ours))
    monkeypatch.setattr(embedding, "write_onnx", refuse)
    assert graph_of(ours, (SIDE, SIDE), name_of(ours)) == first
    assert graph_of(network(seed=1), (SIDE, SIDE), name_of(network(seed=1))) is None  # another backbone: it would be written


def test_the_oldest_graphs_go(monkeypatch):
    monkeypatch.setattr(embedding, "MOST_GRAPHS", 2)
    names = []
    for seed in range(3):
        names.append(name_of(network(seed)))
        graph_of(network(seed), (SIDE, SIDE), names[-1])
    assert [kept_graph(name) is not None for name in names] == [False, True, True]


def test_a_disk_that_refuses_costs_only_the_cache(monkeypatch):
    def full(path, content):
        raise OSError(28, "full")

    monkeypatch.setattr(embedding, "write_bytes", full)
    ours = network()
    assert graph_of(ours, (SIDE, SIDE), name_of(ours)) is not None
    assert kept_graph(name_of(ours)) is None


@pytest.mark.parametrize("missing", ["the folder", "room in it"])
def test_without_room_for_temporary_files_torch_embeds(missing, tmp_path, monkeypatch):
    def full(*arguments, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    if missing == "the folder":
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    else:
        monkeypatch.setattr(embedding, "write_onnx", full)
    ours = network()
    assert graph_of(ours, (SIDE, SIDE), name_of(ours)) is None
    embedder, why = quick_embedder(ours, pictures(64), RECIPE, name_of(ours))
    assert embedder is None
    assert why == "the network's graph cannot be written"


def test_the_quicker_way_is_taken_and_both_rates_are_said(monkeypatch):
    ours = network()
    monkeypatch.setattr(GraphFeatures, "choose_batch", lambda self, some: {self.batch: 1e-9})
    embedder, why = quick_embedder(ours, pictures(64), RECIPE, name_of(ours))
    assert embedder is not None
    assert "in ONNX Runtime" in why
    monkeypatch.setattr(GraphFeatures, "choose_batch", lambda self, some: {self.batch: 10.0})
    embedder, why = quick_embedder(ours, pictures(64), RECIPE, name_of(ours))
    assert embedder is None
    assert why.startswith("0 pictures a second in ONNX Runtime")


def test_a_graph_with_other_features_is_not_used():
    ours, other = network(0), network(1)
    graph_of(other, (SIDE, SIDE), name_of(ours))  # kept under the wrong name
    embedder, why = quick_embedder(ours, pictures(64), RECIPE, name_of(ours))
    assert embedder is None
    assert "features differ by" in why


def test_half_a_graph_in_the_cache_costs_time_but_no_run(tmp_path):
    ours, classes = network(), tuple("abc")
    content = graph_of(ours, (SIDE, SIDE), name_of(ours))
    file = embedding._file(name_of(ours))
    file.write_bytes(content[: len(content) // 2])
    write_bundle(ours, contents(classes), tmp_path / "bundle", lambda event: None)
    same_answers(tmp_path / "bundle", ours, classes)
    embedder, why = quick_embedder(ours, pictures(64), RECIPE, name_of(ours))
    assert embedder is None
    assert "cannot be opened" in why
    assert not file.exists()


def test_few_pictures_another_device_and_what_cannot_be_written_stay_with_torch(monkeypatch):
    ours = network()
    assert quick_embedder(ours, pictures(63), RECIPE, name_of(ours)) == (None, "63 pictures are soon done")
    elsewhere = RECIPE.model_copy(update={"device": "cuda"})
    assert quick_embedder(ours, pictures(64), elsewhere, name_of(ours)) == (None, "torch computes on cuda")
    monkeypatch.setattr(embedding, "write_onnx", refuse)
    assert quick_embedder(ours, pictures(64), RECIPE, name_of(ours)) == (None, "the network's graph cannot be written")


def contents(classes):
    return Contents(
        name="toy",
        classes=classes,
        preprocess=PREPROCESS,
        architecture=ARCHITECTURE,
        decision=Decision(temperature=1.0),
        split=None,
        provenance={},
        card="# toy\n",
    )


def same_answers(bundle, ours, classes):
    pixels = pictures(5).astype(np.float32) / 255
    found = OnnxPredictor(bundle / "model.onnx", classes)(pixels)
    expected = TorchPredictor(ours, classes)(pixels)
    np.testing.assert_allclose(found.logits, expected.logits, atol=1e-5)
    np.testing.assert_allclose(found.features, expected.features, atol=1e-5)


def test_a_bundle_takes_the_known_graph_with_its_own_head(tmp_path, monkeypatch):
    graph_of(network(), (SIDE, SIDE), name_of(network()))
    monkeypatch.setattr(bundling, "write_onnx", refuse)
    ours, classes = network(), tuple("abcde")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        ours.head = torch.nn.Linear(16, 5)
    write_bundle(ours, contents(classes), tmp_path / "bundle", lambda event: None)
    same_answers(tmp_path / "bundle", ours, classes)


def test_a_backbone_that_was_trained_further_is_written_anew(tmp_path):
    ours, classes = network(), tuple("abc")
    graph_of(ours, (SIDE, SIDE), name_of(ours))
    with torch.no_grad():
        next(ours.backbone.parameters()).add_(0.01)
    write_bundle(ours, contents(classes), tmp_path / "bundle", lambda event: None)
    same_answers(tmp_path / "bundle", ours, classes)


def test_a_wrong_graph_in_the_cache_does_not_spoil_a_bundle(tmp_path):
    ours, classes = network(), tuple("abc")
    graph_of(network(1), (SIDE, SIDE), name_of(ours))
    write_bundle(ours, contents(classes), tmp_path / "bundle", lambda event: None)
    same_answers(tmp_path / "bundle", ours, classes)


# --- what the test pictures are asked of


def learned(ours):
    return SimpleNamespace(network=ours, architecture=ARCHITECTURE, plan=SimpleNamespace(preprocess=PREPROCESS, views=ONE_VIEW))


def answers(predictor):
    return predictor(pictures(5).astype(np.float32) / 255).logits


def test_the_test_pictures_are_asked_of_the_graph_that_the_bundle_will_hold():
    ours, classes = network(), tuple("abc")
    graph_of(ours, (SIDE, SIDE), name_of(ours))
    predictor = predictor_of(learned(ours), classes)
    assert predictor.form == "onnx"
    np.testing.assert_allclose(answers(predictor), answers(TorchPredictor(ours, classes)), atol=1e-5)


def test_without_a_graph_with_a_wrong_one_or_without_room_for_it_torch_is_asked(monkeypatch):
    ours, classes = network(), tuple("abc")
    assert predictor_of(learned(ours), classes).form == "torch"
    graph_of(network(1), (SIDE, SIDE), name_of(ours))
    found = predictor_of(learned(ours), classes)
    assert found.form == "torch"
    np.testing.assert_array_equal(answers(found), answers(TorchPredictor(ours, classes)))
    embedding._file(name_of(ours)).unlink()
    graph_of(ours, (SIDE, SIDE), name_of(ours))
    assert predictor_of(learned(ours), classes).form == "onnx"

    def full(**options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(judging.tempfile, "TemporaryDirectory", full)
    assert predictor_of(learned(ours), classes).form == "torch"


# --- the stages that are not trained


def begins(unfreeze, *, device="cpu", ours=None):
    found = ours or lite0(3, depths=5)
    return quick_stages(found, RECIPE.model_copy(update={"unfreeze": unfreeze, "device": device}), (64, 64))


@pytest.mark.parametrize(("unfreeze", "stages"), [("head", 7), ("2", 7), ("4", 5), ("8", 1)])
def test_the_stages_that_are_not_trained_are_begun_quickly(unfreeze, stages):
    assert begins(unfreeze).stages == stages


@pytest.mark.parametrize("unfreeze", ["9", "10", "40", "all"])
def test_where_every_stage_is_trained_nothing_is_begun_elsewhere(unfreeze):
    assert begins(unfreeze) is None


def test_other_networks_and_other_devices_begin_by_themselves():
    assert begins("1", ours=network()) is None
    assert begins("1", ours=lite0(3)) is None  # of one depth: timm's own network
    assert begins("4", device="cuda") is None


# --- whether mirror images are embedded too


def embeds(asked="auto", *, seconds=1.0, left=100.0, n=50, flip="auto", settled=None, unfreeze="all"):
    """The decision, and what was said of it."""
    said, adopted = [], []
    recipe = RECIPE.model_copy(update={"unfreeze": unfreeze})
    plan = Plan(
        architecture=ARCHITECTURE, preprocess=PREPROCESS, weights="auto", way="transfer", recipe=recipe, refit=False,
        mirrored_head=settled,
    )  # fmt: skip

    def adopt(found):
        work.plan = found
        adopted.append(found.mirrored_head)

    work = SimpleNamespace(
        plan=plan,
        settings=SimpleNamespace(mirrored_head=asked, flip=flip),
        pictures=[None] * n,
        deadline=time.monotonic() + left,
        seconds_for_mirrored=lambda network: seconds,
        story=SimpleNamespace(choose=lambda name, value, why: said.append(why)),
        adopt=adopt,
    )
    found = trying._embeds_mirrored(work, None)
    assert adopted == ([] if settled is not None else [found])
    return found, said


def test_mirror_images_are_embedded_where_that_takes_a_small_share_of_the_time():
    assert embeds(seconds=4) == (True, [])
    found, (why,) = embeds(seconds=6)
    assert not found
    assert why == "embedding them would take 6 of the 100 s that are left"
    assert not embeds(seconds=0.0, left=-1.0)[0]


def test_they_may_take_longer_where_nothing_is_fine_tuned():
    assert embeds(seconds=20, unfreeze="head") == (True, [])
    assert not embeds(seconds=30, unfreeze="head")[0]


def test_many_pictures_are_enough_without_mirror_images():
    found, (why,) = embeds(n=10_001)
    assert not found
    assert "10,001 pictures are enough" in why


def test_mirror_images_can_be_asked_for_and_forbidden():
    assert embeds("yes", seconds=1000, flip="off") == (True, [])
    assert embeds("no") == (False, [])
    assert embeds(flip="off") == (False, [])


@pytest.mark.parametrize("settled", [True, False])
def test_a_resume_takes_what_was_settled(settled):
    assert embeds(seconds=1000 if settled else 0, settled=settled) == (settled, [])


def test_features_are_kept_apart_by_how_pictures_are_prepared_and_by_whom(monkeypatch):
    name = name_of(network())
    kept = features_name(name, mirrored=False)
    assert features_name(name, mirrored=True) == f"{kept}-mirrored"
    with monkeypatch.context() as changed:
        changed.setattr(embedding, "revision", lambda: "another Pillow")
        assert features_name(name, mirrored=False) != kept
    monkeypatch.setattr(embedding, "environment", lambda: {"versions": {"timm": "9.0"}})
    assert features_name(name, mirrored=False) != kept
