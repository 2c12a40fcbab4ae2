"""``models``: what can be trained."""

from importlib.util import find_spec
from typing import Any

from pydantic import BaseModel, ConfigDict

from eyebright.core.errors import DataError
from eyebright.core.events import OnEvent, silent
from eyebright.core.registry import nearest
from eyebright.core.settings import Settings, argument


class ModelsSettings(Settings):
    """What ``models`` needs to know."""

    like: str | None = argument(None, help="Only names that contain this, of timm and torchvision too, e.g. resnet.")


_PACKAGES = {"train": ("torch", "timm"), "classic": ("sklearn",)}  # of an extra: those that tell whether it is there


class ModelEntry(BaseModel):
    """A model that ``train --model`` takes. ``weights``: ``installed``, ``download`` or ``none``.

    ``extra`` is what training it needs, several joined by commas; ``available`` says whether that is here.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    kind: str
    about: str
    weights: str
    extra: str
    available: bool


def list_models(like: str | None = None) -> list[ModelEntry]:
    """Every model, or those whose name contains ``like``: the built-in ones, the short names, timm's and torchvision's.

    Raises ``MissingExtraError`` where torch or timm is not installed, ``DataError`` where no name contains ``like``.
    """
    from eyebright.models.catalogue import list_architectures

    found = [_entry(info) for info in list_architectures()]
    matching = [entry for entry in found if like is None or like.lower() in entry.name.lower()]
    if not matching:
        close = nearest(str(like), [entry.name.partition(":")[2] or entry.name for entry in found])
        hint = f" Did you mean {' or '.join(close)}?" if close else ""
        raise DataError(f"No model's name contains {like!r}.{hint} eyebright models lists the built-in ones.")
    return matching


def run(settings: ModelsSettings, on_event: OnEvent = silent) -> list[ModelEntry]:
    """The list that ``settings`` ask for: without a filter the built-in models, the short names, and how to see the others."""
    if settings.like is not None:
        return list_models(settings.like)
    from eyebright.models import names

    named = [_entry(info) for info in (*names.BUILT_IN, *names.SHORT, *names.CRAFTED)]
    others = [
        ModelEntry(
            name=f"{family}:NAME", kind="many", about=about, weights="download", extra="train", available=_installed("train")
        )
        for family, about in names.FAMILIES.items()
    ]
    return [*named, *others]


def _entry(info: Any) -> ModelEntry:
    from eyebright.models.handcrafted.names import is_handcrafted
    from eyebright.models.names import full_name

    if full_name(info.name) != info.name:
        kind = "short name"
    elif is_handcrafted(info.name):
        kind = "handcrafted"
    else:
        kind = info.name.partition(":")[0] if ":" in info.name else "built in"
    extra = "train,classic" if kind == "handcrafted" else "train"
    return ModelEntry(
        name=info.name, kind=kind, about=info.about, weights=info.weights, extra=extra, available=_installed(extra)
    )


def _installed(extra: str) -> bool:
    """Whether what trains such a model is here; ``extra`` may be several, joined by commas."""
    return all(find_spec(package) is not None for each in extra.split(",") for package in _PACKAGES[each])
