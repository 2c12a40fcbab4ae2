"""Which tensor of a file is which of a network's, told by name and shape."""

import copy
import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from eyebright.core.errors import ModelError
from eyebright.verbs.importing.labels import require_outputs
from eyebright.verbs.importing.tensors import Shape

if TYPE_CHECKING:
    import torch

_WRAPPERS = ("module.", "_orig_mod.", "model.", "network.", "net.")  # of DataParallel, torch.compile, Lightning and habit
_COUNTER = "num_batches_tracked"  # of batch norms; unused where their momentum is set, and missing in old files
_SHOWN = 3
HEAD, BIAS = "head.weight", "head.bias"


@dataclasses.dataclass(frozen=True)
class Match:
    """``sources`` leads from the network's tensors to those of the file; ``bare`` from the file's to its publisher's names."""

    sources: Mapping[str, str]
    bare: Mapping[str, str]
    notes: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Wanted:
    """A network's tensors by ``shapes``. Their names begin with ``body``, or with ``head.`` where the last layer is apart.

    ``last`` is the weight with a row a class. What begins with one of ``unused`` serves training only.
    """

    architecture: str
    shapes: Mapping[str, Shape]
    body: str
    last: str
    unused: tuple[str, ...] = ()


def match(found: Mapping[str, Shape], wanted: Wanted, classes: Sequence[str], origin: str) -> Match:
    """Where each tensor of a network lies in a file with the shapes ``found``.

    Where the last layer is apart, it is what the file has beyond the body. Raises ``ModelError`` with the first few tensors
    that are missing, left over or of another shape, and for another number of classes.
    """
    own = HEAD in found and all(name.startswith((wanted.body, "head.")) for name in found)
    prefix = "" if own else _wrapping(found)
    bare = {name: name.removeprefix(prefix) for name in found}
    sources = {plain if own else wanted.body + plain: name for name, plain in bare.items()}
    left = {key: name for key, name in sources.items() if key not in wanted.shapes}
    for key, place in _head(left, wanted).items():
        sources[key] = left.pop(place)
    _require(found, sources, wanted, [key for key in left if not _is_idle(key, wanted)], classes, origin)
    notes = [f"Every tensor's name began with {prefix!r}, which was taken off."] if prefix else []
    if any(key.startswith(tuple(wanted.body + word for word in wanted.unused)) for key in left):
        notes.append("Its auxiliary classifiers were left out; only training uses them.")
    if BIAS in wanted.shapes and BIAS not in sources:
        notes.append("Its last layer has no bias; zeros stand for it.")
    return Match({key: sources[key] for key in wanted.shapes if key in sources}, bare, tuple(notes))


def _require(
    found: Mapping[str, Shape],
    sources: Mapping[str, str],
    wanted: Wanted,
    extra: Sequence[str],
    classes: Sequence[str],
    origin: str,
) -> None:
    """Raises ``ModelError`` where the tensors in a file are not those of the network."""
    keys = [key for key in wanted.shapes if not key.endswith(_COUNTER) and key != BIAS]
    missing = [_plain(key, wanted) for key in keys if key not in sources]
    wrong = [key for key in (*keys, BIAS) if key in sources and not _fits(found[sources[key]], wanted.shapes[key], key)]
    if not missing and not extra and set(wrong) <= {wanted.last, _bias_of(wanted.last)}:
        require_outputs((*found[sources[wanted.last]], 0)[0], classes, origin)
    if not (missing or wrong or extra):
        return
    shapes = [f"{_plain(k, wanted)} (found {_shown(found[sources[k]])}, expected {_shown(wanted.shapes[k])})" for k in wrong]
    told = [
        _listed(missing, "missing"),
        _listed([_plain(key, wanted) for key in sorted(extra)], "left over"),
        _listed(shapes, "of another shape"),
    ]
    ends_otherwise = extra and not wrong and missing == [_plain(HEAD, wanted)]
    remedy = (
        "It does not end in one dense layer: export it to ONNX where it was made, and import that."
        if ends_otherwise
        else "Give the --architecture that it was trained with."
    )
    raise ModelError(
        f"{origin} does not hold the weights of {wanted.architecture}: {'; '.join(part for part in told if part)}. {remedy}"
    )


def _is_idle(key: str, wanted: Wanted) -> bool:
    return key.endswith(_COUNTER) or key.startswith(tuple(wanted.body + word for word in wanted.unused))


def _plain(key: str, wanted: Wanted) -> str:
    """What the file calls the network's tensor ``key``, or would call it."""
    return {HEAD: "the last layer's weight", BIAS: "the last layer's bias"}.get(key, key.removeprefix(wanted.body))


def _bias_of(weight: str) -> str:
    return f"{weight.removesuffix('.weight')}.bias"


def filled(
    target: "dict[str, torch.Tensor]", sources: Mapping[str, str], read: "Callable[[Iterable[str]], dict[str, torch.Tensor]]"
) -> "dict[str, torch.Tensor]":
    """A state for the network whose present one is ``target``: the tensors that ``sources`` name, zeros for all others."""
    import torch

    state, found = (
        copy.copy(target),
        read(sources.values()),
    )  # a copy has the versions of its parts, which some networks ask for
    for key, tensor in target.items():
        state[key] = found[sources[key]].reshape(tensor.shape) if key in sources else torch.zeros_like(tensor)
    return state


def _wrapping(found: Mapping[str, Shape]) -> str:
    """The prefix that every name has and that wrapping a network gives."""
    prefix = ""
    while more := next((word for word in _WRAPPERS if all(name.startswith(prefix + word) for name in found)), None):
        prefix += more
    return prefix


def _head(left: Mapping[str, str], wanted: Wanted) -> dict[str, str]:
    """The last layer among the tensors that are ``left``: the one weight, and its bias. Nothing where there are more."""
    weights = [key for key in left if key.endswith(".weight") and not _is_idle(key, wanted)]
    if HEAD not in wanted.shapes or len(weights) != 1:
        return {}
    return {HEAD: weights[0]} | ({BIAS: _bias_of(weights[0])} if _bias_of(weights[0]) in left else {})


def _fits(found: Shape, wanted: Shape, key: str) -> bool:
    # A 1 x 1 convolution on one place is a dense layer.
    return found == wanted or (key == HEAD and found == (*wanted, 1, 1))


def _listed(names: Sequence[str], what: str) -> str:
    if not names:
        return ""
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return f"{len(names):,} {what}: {', '.join(name[:120] for name in names[:_SHOWN])}{more}"


def _shown(shape: Shape) -> str:
    return " x ".join(map(str, shape)) or "one value"
