"""A network of the catalogue with weights that were trained elsewhere, its normalisation inside."""

import dataclasses
import inspect
from typing import TYPE_CHECKING, Any

from eyebright.core.bundle import Architecture
from eyebright.core.errors import ModelError, SettingsError
from eyebright.core.events import OnEvent, Phase
from eyebright.core.preprocess import Preprocess
from eyebright.verbs.importing.declared import Declared, Normalisation
from eyebright.verbs.importing.matching import HEAD, Match, Wanted, filled, match
from eyebright.verbs.importing.sniffing import Sniffed
from eyebright.verbs.importing.tensors import Stored, open_tensors

if TYPE_CHECKING:
    from eyebright.models.network import Classifier

_LAST = "network.classifier.1.weight"  # of a whole SqueezeNet


@dataclasses.dataclass(frozen=True)
class Filled:
    """A network with a file's weights, what rebuilds it, how pictures come to it, and what is to be said of all this."""

    network: "Classifier"
    architecture: Architecture
    preprocess: Preprocess
    provenance: dict[str, Any]
    notes: tuple[str, ...]


def bring(found: Sniffed, classes: tuple[str, ...], declared: Declared, name: str, on_event: OnEvent) -> Filled:
    """The network called ``name`` with the weights in ``found``.

    What was not declared is as the network's publisher feeds it. Raises ``SettingsError`` for a name that nobody has and for
    declarations that the network cannot obey, ``ModelError`` where the weights are not the network's.
    """
    from eyebright.models import catalogue, published
    from eyebright.models.handcrafted.names import is_handcrafted

    _refuse_for_graphs(declared)
    full = catalogue.resolve(name)
    if is_handcrafted(full):
        raise SettingsError(f"--architecture is {name}; a handcrafted model has no weights to bring. Name a network.")
    on_event(Phase("Reading the weights"))
    stored = open_tensors(found)
    fed = published.fed_as(full)
    completed, notes = _completed(declared, fed)
    preprocess = _preprocess(completed, fed, catalogue.own_size(full), full)
    architecture, told = _architecture(full, completed, preprocess.size)
    network = catalogue.build_classifier(architecture, len(classes))
    matched = _fill(network, stored, classes, full)
    _try_size(network, preprocess, full)
    _prove(network, architecture, preprocess, matched, stored)
    said = (*stored.notes, *matched.notes, *notes, told or _own_layer(network, full))
    provenance = {"architecture": full, "tensors": len(matched.sources)}
    return Filled(network.eval(), architecture, preprocess, provenance, said)


def _refuse_for_graphs(declared: Declared) -> None:
    if declared.layout != "auto":
        raise SettingsError("--layout is about files that hold a graph; the network that --architecture names has its own.")
    if declared.gives == "probabilities":
        raise SettingsError(
            "--gives probabilities is about files that hold a graph; the networks of --architecture give logits."
        )


def _completed(declared: Declared, fed: Any) -> tuple[Declared, tuple[str, ...]]:
    """``declared`` with what the publisher says of the cut and the filter where nothing was said, and a note that says so."""
    if fed is None:
        return declared, ()
    usual: dict[str, Any] = {"resampler": fed.resampler} if declared.resampler is None else {}
    if declared.resize is None:
        usual["resize"] = fed.resize
    if declared.crop_fraction is None and (declared.resize or fed.resize) == "crop":
        usual["crop_fraction"] = fed.crop_fraction
    taken = ", ".join(
        f"{key.replace('_', '-')} {round(value, 4) if isinstance(value, float) else value}" for key, value in usual.items()
    )
    return dataclasses.replace(declared, **usual), (f"From {fed.origin}: {taken}.",) if taken else ()


def _preprocess(declared: Declared, fed: Any, own: int | None, full: str) -> Preprocess:
    if declared.size is None and fed is None and own is None:
        raise SettingsError(f"--size is missing: {full} takes pictures of any size, and the weights are for one. Give it.")
    return declared.preprocess(fed.size if fed else (own or 0, own or 0))


def _architecture(full: str, declared: Declared, size: tuple[int, int]) -> tuple[Architecture, str]:
    """What rebuilds the network, its first layer included, and a sentence about that layer where it is not its own."""
    from eyebright.models import catalogue, published
    from eyebright.models.names import MODELS

    height, width = size
    arguments: dict[str, Any] = {}
    if full in MODELS.targets():
        parameters = inspect.signature(MODELS.load(full)).parameters
        arguments = {key: value for key, value in {"height": height, "width": width}.items() if key in parameters}
        if declared.channels == "grey":
            if "grey" not in parameters:
                raise SettingsError(f"--channels is grey; {full} takes three channels. Give rgb or bgr.")
            arguments["grey"] = True
    elif declared.channels == "grey":
        raise SettingsError(f"--channels is grey; {full} takes three channels. Give rgb or bgr.")
    elif published.ends_otherwise(full):
        arguments = {published.END: "published"}
    elif height == width != catalogue.own_size(full):
        arguments = {"size": height}
    first, told = _first_layer(full, declared)
    return Architecture(name=full, arguments={**arguments, **first}), told


def _first_layer(full: str, declared: Declared) -> tuple[dict[str, Any], str]:
    """The arguments for a first layer as declared, none where the network's own stands, and a sentence about it."""
    from eyebright.models import published

    if declared.says_normalisation:
        normalisation, whose = declared.normalisation(), "as declared"
    elif full in published.HALVES:
        normalisation, whose = Normalisation((0.5,) * 3, (0.5,) * 3), "as its published weights want it"
    elif declared.channels == "bgr":
        raise SettingsError(
            "--channels is bgr: say also in which values, with --scale, or with --mean and --std in that order."
        )
    else:
        return {}, ""
    mean, std = list(normalisation.mean), list(normalisation.std)
    first = {published.MEAN: mean, published.STD: std, published.CHANNELS: declared.channels}
    return first, f"Pixels from 0 to 1, {declared.channels}, are normalised with {normalisation}, {whose}."


def _own_layer(network: "Classifier", full: str) -> str:
    from eyebright.models.published import normalised_by

    found = normalised_by(network)
    with_what = f" with {Normalisation(tuple(found[0]), tuple(found[1]))}" if found else ""
    return f"Nothing was said of --scale, --mean or --std: pixels are normalised{with_what} as {full} does it here."


def _fill(network: "Classifier", stored: Stored, classes: tuple[str, ...], full: str) -> Match:
    """Loads the file's tensors into the network. Shapes are judged before a value is read."""
    from eyebright.models import published

    state = network.state_dict()
    body = "backbone." if HEAD in state else "network."
    shapes = {key: tuple(tensor.shape) for key, tensor in state.items()}
    wanted = Wanted(full, shapes, body, HEAD if HEAD in state else _LAST, published.AUXILIARY)
    matched = match(stored.shapes, wanted, classes, stored.path.name)
    network.load_state_dict(filled(state, matched.sources, stored.read))
    return matched


def _try_size(network: "Classifier", preprocess: Preprocess, full: str) -> None:
    """Raises ``SettingsError`` where the network cannot take pictures of the size: it asks with a black one."""
    import torch

    with torch.no_grad():
        try:
            network.eval()(torch.zeros(1, 3, *preprocess.size))
        except (RuntimeError, ValueError, AssertionError) as error:
            reason = (str(error) or type(error).__name__).splitlines()[0].rstrip(".!")
            raise SettingsError(
                f"--size is {preprocess.height}x{preprocess.width}; {full} cannot take such pictures ({reason}). Give the size "
                "that it was trained with."
            ) from None


def _prove(network: "Classifier", made: Architecture, preprocess: Preprocess, matched: Match, stored: Stored) -> None:
    """Raises ``ModelError`` where the network, cut into features and a last layer, computes something else than when whole."""
    import torch

    from eyebright.core.parity import allowed_difference
    from eyebright.models import published
    from eyebright.models.network import PixelNetwork
    from eyebright.verbs.making.packing import make_probe

    if not isinstance(network, PixelNetwork):
        return
    size = made.arguments.get("size")
    theirs = published.whole(made.name, network.head.out_features, size if isinstance(size, int) else None)
    if theirs is None:
        return
    names = {plain: name for name, plain in matched.bare.items()}
    if HEAD in names and all(name.startswith(("backbone.", "head.")) for name in names):
        return  # written by us, cut already
    state = theirs.state_dict()
    theirs.load_state_dict(filled(state, {key: names[key] for key in state if key in names}, stored.read))
    with torch.no_grad():
        values = network.prepare(torch.from_numpy(make_probe(preprocess).pixels))
        expected, found = theirs.eval()(values), network.head(network.backbone(values))
    difference = float((expected - found).abs().max())
    if not difference <= allowed_difference(expected.numpy()):
        raise ModelError(
            f"{made.name}, cut into features and a last layer, differs from its publisher's network by {difference:.2g} in a "
            "logit. Export the model to ONNX where it was made, and import that."
        )
