"""What is frozen of a network, by the quickest means that gives the same: the features of all of it, or its first stages.

The graph of a frozen backbone is kept for the bundle.
"""

import contextlib
import hashlib
import tempfile
import time
from pathlib import Path

import numpy as np

from eyebright.backends.features_ import GraphFeatures
from eyebright.backends.stages_ import GraphStages
from eyebright.core.arrays import ByteBatch
from eyebright.core.bundle import Architecture
from eyebright.core.errors import ModelError, ResourceError
from eyebright.core.files import cache_home, sha256_of_json, write_bytes
from eyebright.core.machine import environment, usable_cores
from eyebright.core.parity import TOLERANCE
from eyebright.core.preprocess import Preprocess
from eyebright.data.pixel_cache import settle
from eyebright.export.onnx_ import write_onnx
from eyebright.export.plain import plain_model
from eyebright.images.revision import revision
from eyebright.models.depths import FirstStages, SeveralDepths
from eyebright.models.network import PixelNetwork
from eyebright.training.fit import outputs_of
from eyebright.training.recipe import Recipe

GRAPHS = "graphs"
MOST_GRAPHS = 12  # kept; those that were not used for longest go first
WORTH_A_GRAPH = 64  # unknown pictures from which the graph is used: fewer are done before it is open
COMPARED = 8  # pictures whose features must be the network's own; torch is timed on them too, as the two differ by times


def backbone_name(network: PixelNetwork, architecture: Architecture, preprocess: Preprocess) -> str:
    """A name that changes with anything that decides the features: weights, architecture, preprocessing."""
    digest = hashlib.sha256()
    for tensor in network.backbone.state_dict().values():
        digest.update(tensor.cpu().contiguous().numpy().tobytes())
    return sha256_of_json([architecture.model_dump(), preprocess.model_dump(), digest.hexdigest()])[:32]


def features_name(backbone: str, *, mirrored: bool) -> str:
    """Under which the features of the backbone called ``backbone`` are kept: changes with how pictures are prepared, too.

    The network's own weights and settings are in ``backbone``; what Pillow, our resampling or the packages that compute the
    layers do may change with a release while the picture's content stays the same.
    """
    versions = environment()["versions"]
    assert isinstance(versions, dict)
    computed_by = {package: versions.get(package) for package in ("eyebright", "torch", "timm", "onnxruntime")}
    return sha256_of_json([backbone, revision(), computed_by])[:32] + ("-mirrored" if mirrored else "")


def kept_graph(name: str) -> bytes | None:
    """The graph that was kept under ``name`` by these versions of the packages that write it, or None."""
    file = _file(name)
    try:
        content = file.read_bytes()
        file.touch()
    except OSError:
        return None
    return content


def graph_of(network: PixelNetwork, size: tuple[int, int], name: str) -> bytes | None:
    """The network as ONNX, kept or written now and kept; None where it cannot be written so, or there is no room aside."""
    known = kept_graph(name)
    if known is not None:
        return known
    try:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as aside:
            path = Path(aside, "backbone.onnx")
            write_onnx(network, size, path, classes=tuple(map(str, range(network.head.out_features))), name="backbone")
            content = path.read_bytes()
    except (ModelError, OSError):  # the folder for temporary files may be full, or missing: torch does it
        return None
    with contextlib.suppress(ResourceError, OSError):  # a disk that refuses costs the next run some seconds, not this one
        write_bytes(_file(name), content)
        _forget_the_oldest()
    return content


def quick_embedder(network: PixelNetwork, pictures: ByteBatch, recipe: Recipe, name: str) -> tuple[GraphFeatures | None, str]:
    """What computes features quicker than the network in torch, and the reason in words; None where torch is to do it.

    ``pictures`` are the first ``WORTH_A_GRAPH`` of those that have no features yet. The graph is taken only where it gives the
    network's own features, to rounding, and is quicker on them.
    """
    if recipe.device != "cpu":
        return None, f"torch computes on {recipe.device}"
    if len(pictures) < WORTH_A_GRAPH:
        return None, f"{len(pictures)} pictures are soon done"
    size = (pictures.shape[2], pictures.shape[3])
    graph = graph_of(network, size, name)
    if graph is None:
        return None, "the network's graph cannot be written"
    try:
        embedder = GraphFeatures(graph, threads=usable_cores())
    except ModelError as error:  # half a file in the cache
        _file(name).unlink(missing_ok=True)
        return None, str(error)
    some = pictures[:COMPARED]
    expected = outputs_of(network, some, recipe)[1]
    difference = float(np.abs(embedder(some) - expected).max())
    if difference > TOLERANCE * max(1.0, float(np.abs(expected).max())):
        return None, f"ONNX Runtime's features differ by {difference:.2g}"
    settle()  # nothing else runs while it is timed
    seconds = embedder.choose_batch(pictures)
    started = time.perf_counter()
    outputs_of(network, some, recipe)  # again: the first time, torch prepares itself
    in_torch = (time.perf_counter() - started) / len(some)
    least = seconds[embedder.batch]
    rates = f"{1 / least:.0f} pictures a second in ONNX Runtime, {1 / in_torch:.0f} in torch"
    return (embedder, rates) if least < in_torch else (None, rates)


def quick_stages(network: PixelNetwork, recipe: Recipe, size: tuple[int, int]) -> GraphStages | None:
    """What computes the stages that ``recipe`` does not train, for pictures of ``size``; None where torch is to do it.

    It answers as the network does, to rounding, or is not taken. Whether it is quicker is not asked, so that a run which is
    taken up again does as before: stages that are not trained took ONNX Runtime a fifth of eager torch's time (NOTES.md).
    """
    backbone, blocks = network.backbone, len(network.blocks())
    if recipe.device != "cpu" or recipe.unfreeze == "all" or not isinstance(backbone, SeveralDepths):
        return None
    stages = backbone.stages_of(blocks if recipe.unfreeze == "head" else blocks - int(recipe.unfreeze))
    if stages == 0:
        return None
    first = FirstStages(network, stages)
    graph = plain_model(first, size, first.outputs)
    return None if graph is None else GraphStages(graph.SerializeToString(), stages, threads=usable_cores())


def _file(name: str) -> Path:
    versions = environment()["versions"]
    assert isinstance(versions, dict)
    writers = {package: versions.get(package) for package in ("eyebright", "torch", "onnx")}
    return cache_home() / GRAPHS / f"{name}-{sha256_of_json(writers)[:12]}.onnx"


def _forget_the_oldest() -> None:
    files = sorted((cache_home() / GRAPHS).glob("*.onnx"), key=lambda file: file.stat().st_mtime)
    for file in files[:-MOST_GRAPHS]:
        file.unlink(missing_ok=True)
