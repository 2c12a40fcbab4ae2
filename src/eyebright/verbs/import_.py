"""``import``: a bundle of a model that was trained elsewhere."""

import math
import re
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from eyebright.core.bundle import safe_name
from eyebright.core.errors import ModelError, SettingsError
from eyebright.core.events import OnEvent, silent
from eyebright.core.preprocess import Resize
from eyebright.core.settings import Settings, argument
from eyebright.verbs.importing.declared import Channels, Declared, Gives, Layout, Scale

_FED = "How pictures reach the model, as where it was trained"
_GRAPH = "Of files that hold a graph (LiteRT, ONNX, Keras)"
_SIZE = re.compile(r"([1-9]\d{0,3})(?:[x×]([1-9]\d{0,3}))?")


class ImportSettings(Settings):
    """What ``import`` needs to know."""

    file: Path = argument(help="A .tflite, .onnx, .keras or .h5; or weights: .safetensors, .npz, torch.", positional=True)
    classes: str = argument(
        help="The names in the order of the outputs: a file (one a line, or JSON), cat,dog, or cifar10, imagenet ...",
        min_length=1,
    )
    out: Path = argument(help="The new bundle's folder.")
    architecture: str | None = argument(None, help="Of weights: whose they are, any name of 'eyebright models'.")
    repeated_names: Literal["refuse", "number"] = argument("refuse", help="What becomes of a class name that stands twice.")

    size: str | None = argument(
        None, help="Pixels: 227, or HEIGHTxWIDTH. Default: what the file or the network says.", section=_FED
    )
    resize: Resize | None = argument(
        None, help="Stretch, cut or fit to the size. Default: the network's, else squash.", section=_FED
    )
    crop_fraction: float | None = argument(
        None, help="Share of the short side that a cut keeps, 0.875 for 224 of 256.", section=_FED, gt=0.0, le=1.0
    )
    resampler: Literal["bicubic", "bilinear"] | None = argument(
        None, help="Default: the network's, else bicubic.", section=_FED
    )
    scale: Scale | None = argument(None, help="The range of values that pictures are brought to. Default: 0..1.", section=_FED)
    mean: tuple[float, ...] | None = argument(
        None,
        help="Taken off then: one value or one a channel, in the unit of --scale: 0.485 in 0..1 is 123.7 in 0..255.",
        section=_FED,
    )
    std: tuple[float, ...] | None = argument(
        None, help="Divided by last: one value or one a channel, in the same unit.", section=_FED
    )
    channels: Channels = argument("rgb", help="The order of channels, also of --mean and --std.", section=_FED)

    layout: Layout = argument("auto", help="Whether channels come last (nhwc) or first (nchw).", section=_GRAPH)
    gives: Gives = argument(
        "auto", help="What the outputs are. Of probabilities, the logarithm is taken for logits.", section=_GRAPH
    )

    title: str | None = argument(
        None,
        help="What people call the model, on the page too. Default: the folder's name.",
        section="The model card",
        min_length=1,
        max_length=80,
    )
    summary: str | None = argument(
        None,
        help="A sentence about the model, shown beside its title.",
        section="The model card",
        min_length=1,
        max_length=300,
    )
    licence: str | None = argument(
        None, help="The weights' licence, e.g. apache-2.0, for the model card.", section="The model card"
    )
    source: str | None = argument(None, help="Where the file is from, in words or an address.", section="The model card")

    @field_validator("size", mode="before")
    @classmethod
    def _as_text(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value

    @field_validator("size")
    @classmethod
    def _is_size(cls, value: str | None) -> str | None:
        if value is not None and not (found := _SIZE.fullmatch(value)):
            raise ValueError(f"{value!r} is no size; 227, or 32x48 for 32 high and 48 wide, was expected")
        if value is not None and found and max(int(side) for side in found.groups(default="1")) > 4096:
            raise ValueError(f"{value} is larger than 4096 pixels a side")
        return value

    @field_validator("mean", "std")
    @classmethod
    def _are_finite(cls, values: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if values is not None and not (values and all(map(math.isfinite, values))):
            raise ValueError(f"{list(values)} was found; finite numbers were expected")
        return values

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.std is not None and min(self.std) <= 0:
            raise ValueError(f"--std has the value {min(self.std):g}; more than 0 was expected, since values are divided by it")
        if self.crop_fraction is not None and self.resize not in (None, "crop"):
            raise ValueError(f"--crop-fraction is about --resize crop; --resize is {self.resize}")
        return self

    def declared(self) -> Declared:
        """What was said of the model, as the readers take it."""
        sides = _SIZE.fullmatch(self.size) if self.size else None
        return Declared(
            size=(int(sides[1]), int(sides[2] or sides[1])) if sides else None,
            resize=self.resize or ("crop" if self.crop_fraction is not None else None),
            crop_fraction=self.crop_fraction,
            resampler=None
            if self.resampler is None
            else "pillow-bicubic"
            if self.resampler == "bicubic"
            else "pillow-bilinear",
            scale=self.scale,
            mean=self.mean,
            std=self.std,
            channels=self.channels,
            layout=self.layout,
            gives=self.gives,
        )


class ImportedForm(BaseModel):
    """One form of the new bundle; ``max_difference`` is its largest difference of a logit from the form ``reference``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str
    bytes: int
    reference: str | None = None
    max_difference: float | None = None


class ImportResult(BaseModel):
    """The new bundle: where it is, what its file held, what is said of how pictures reach it."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_version: Literal[1] = Field(default=1, alias="schema", serialization_alias="schema")
    bundle: Path
    name: str
    sha256: str
    kind: str
    architecture: str | None
    classes: int
    height: int
    width: int
    forms: dict[str, ImportedForm]
    notes: list[str]


def import_model(
    file: str | Path, classes: str, out: str | Path, *, on_event: OnEvent = silent, **settings: Any
) -> ImportResult:
    """Makes the bundle ``out`` of the model in ``file``, its outputs called as ``classes`` says.

    ``settings`` are those of ``ImportSettings``. Raises ``SettingsError`` for settings that do not fit the file, ``DataError``
    for a file that is missing, ``ModelError`` for one that is refused; nothing is written then.
    """
    return run(ImportSettings.resolve({"file": str(file), "classes": classes, "out": str(out), **settings}), on_event)


def run(settings: ImportSettings, on_event: OnEvent = silent) -> ImportResult:
    """The import that ``settings`` ask for."""
    from eyebright.verbs.importing import finishing, labels, sniffing

    if settings.out.exists() or settings.out.is_symlink():
        raise SettingsError(f"--out {settings.out} is there already. Name a new folder, or remove that one first.")
    declared = settings.declared()
    declared.normalisation()  # refuses a wrong number of values before anything is read
    found = sniffing.sniff(settings.file)
    _fits(settings.architecture, found)
    classes, classes_from = labels.read_labels(settings.classes, repeated=settings.repeated_names)
    name = safe_name(settings.out.name)
    around = finishing.Around(
        name=name,
        found=found,
        classes=classes,
        classes_from=classes_from,
        declared=declared,
        licence=settings.licence,
        source=settings.source,
        title=settings.title,
        summary=settings.summary,
    )
    if settings.architecture is None:
        bundle, notes = finishing.finish_graph(around, settings.out, on_event)
    else:
        from eyebright.verbs.importing.weights import bring

        filled = bring(found, classes, declared, settings.architecture, on_event)
        bundle, notes = finishing.finish_weights(filled, around, settings.out, on_event), filled.notes
    manifest = bundle.manifest
    return ImportResult(
        bundle=bundle.path,
        name=manifest.name,
        sha256=bundle.sha256,
        kind=found.called,
        architecture=manifest.architecture.name if manifest.architecture else None,
        classes=len(manifest.classes),
        height=manifest.preprocess.height,
        width=manifest.preprocess.width,
        forms={key: _form(form) for key, form in manifest.forms.items()},
        notes=list(notes),
    )


def _fits(architecture: str | None, found: Any) -> None:
    """Raises where weights come without the name of their network, or a graph with one."""
    from eyebright.verbs.importing.sniffing import WEIGHTS

    if found.kind in WEIGHTS and architecture is None:
        raise SettingsError(
            f"{found.path} is {found.called}, without the network around them. Name it with --architecture: any name of "
            "'eyebright models', such as timm:resnet18, torchvision:squeezenet1_0 or resnet20-cifar."
        )
    if found.kind not in WEIGHTS and architecture is not None:
        raise ModelError(f"{found.path} is {found.called}, which holds its network itself. Leave out --architecture.")


def _form(form: Any) -> ImportedForm:
    parity = form.parity
    return ImportedForm(
        file=form.file,
        bytes=form.bytes,
        reference=parity.reference if parity else None,
        max_difference=parity.max_difference if parity else None,
    )
