"""One model, one directory, many forms: the manifest, and reading it without trust.

bundle.json         this manifest; written last, so that its presence means a whole bundle
decision.json       temperature and the like, hashed apart from the model
split.json          which pictures (keys hashed) were in which part
torch.safetensors, model.onnx ...   the forms
probe/              a few encoded pictures of our own, with the hash of their pixels and the logits they must give
README.md           the model card
"""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from eyebright.core.decision import Decision, load_decision
from eyebright.core.errors import DataError, ModelError
from eyebright.core.files import sha256
from eyebright.core.foreign import Foreign
from eyebright.core.preprocess import Preprocess
from eyebright.core.views import View, Views

MANIFEST = "bundle.json"
FORMAT_VERSION = 1
MOST_MEMBERS = 100  # of an ensemble
MANIFEST_LIMIT = 64 * 2**20  # bytes; a manifest of 20,000 classes is under 2 MiB

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
FileName = Annotated[str, StringConstraints(pattern=r"^(?:probe/)?[A-Za-z0-9][A-Za-z0-9._-]{0,120}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Parity(_Strict):
    """How far a form's logits are from the reference form's, on ``n`` pictures."""

    reference: str
    n: int
    max_difference: float = Field(description="largest absolute difference of a logit")
    agreement: float = Field(description="share of pictures with the same first class", ge=0, le=1)


class Form(_Strict):
    """One file that computes the model. ``outputs`` lists what it gives; ``foreign`` is said of a file not made by us."""

    file: FileName
    sha256: Sha256
    bytes: int = Field(ge=1)
    outputs: tuple[Literal["logits", "features"], ...] = ("logits",)
    parity: Parity | None = None
    foreign: Foreign | None = None


class ProbePicture(_Strict):
    """An encoded picture of ours; ``pixels_sha256`` is ``array_sha256`` of its prepared uint8 pixels."""

    file: FileName
    sha256: Sha256
    pixels_sha256: Sha256
    logits: tuple[float, ...]


class Architecture(_Strict):
    """What rebuilds the torch form: a name that ``models`` knows, and its arguments; of an ensemble also its members."""

    name: str = Field(max_length=200)
    arguments: dict[str, str | int | float | bool | list[float] | None] = Field(default_factory=dict)
    members: tuple["Architecture", ...] = Field(default=(), max_length=MOST_MEMBERS)

    @model_validator(mode="after")
    def _flat(self) -> "Architecture":
        if any(member.members for member in self.members):
            raise ValueError("an ensemble's members have members of their own; single networks were expected")
        return self


class Manifest(_Strict):
    """What a bundle is, for programs and for people."""

    schema_version: Literal[1] = Field(default=1, alias="schema", serialization_alias="schema")
    format_version: Literal[1] = 1
    name: str = Field(min_length=1, max_length=200)
    classes: tuple[str, ...] = Field(min_length=2, max_length=100_000)
    preprocess: Preprocess
    views: tuple[View, ...] = ("identity",)
    views_below: float | None = Field(default=None, gt=0, le=1)
    architecture: Architecture | None = None
    forms: dict[str, Form] = Field(min_length=1)
    decision_sha256: Sha256
    split_sha256: Sha256 | None = None
    card_sha256: Sha256 | None = None
    probe: tuple[ProbePicture, ...] = ()
    provenance: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _consistent(self) -> "Manifest":
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("two classes have the same name")
        for picture in self.probe:
            if len(picture.logits) != len(self.classes):
                raise ValueError(f"{picture.file} has {len(picture.logits)} logits for {len(self.classes)} classes")
        self.seen_in()
        return self

    def seen_in(self) -> Views:
        """The views that a predictor of this bundle averages."""
        return Views(names=self.views, below=self.views_below)


class Bundle:
    """A bundle on disk, its manifest read and checked; files are hashed when they are asked for."""

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path = path
        self.manifest = manifest

    def file(self, name: str, expected: str) -> Path:
        """A file of the bundle, after its hash was compared. Raises ``ModelError`` where it differs or is missing."""
        path = self.path / name
        if path.is_symlink() or not path.is_file():
            raise ModelError(f"{path} is missing or a link. The bundle is not whole; copy or train it again.")
        if (found := sha256(path)) != expected:
            raise ModelError(
                f"{path} has sha256 {found[:12]}..., the manifest says {expected[:12]}.... "
                "The file was changed or damaged; copy or train the bundle again."
            )
        return path

    def form_file(self, form: str) -> Path:
        """The checked file of one form. Raises ``ModelError`` where the bundle has no such form."""
        if form not in self.manifest.forms:
            raise ModelError(f"{self.path} has no form {form!r}; it has {', '.join(self.manifest.forms)}.")
        return self.file(self.manifest.forms[form].file, self.manifest.forms[form].sha256)

    def decision(self) -> Decision:
        """The bundle's decision, its hash checked."""
        return load_decision(self.file("decision.json", self.manifest.decision_sha256))

    @property
    def sha256(self) -> str:
        """The manifest's hash, which names the model: it holds the hashes of every other file."""
        return sha256(self.path / MANIFEST)


def read_bundle(path: Path) -> Bundle:
    """The bundle in directory ``path`` (or in the run around it).

    Raises ``DataError`` where there is none, ``ModelError`` where its manifest is refused.
    """
    if not (path / MANIFEST).is_file() and (path / "bundle" / MANIFEST).is_file():
        path = path / "bundle"
    manifest = path / MANIFEST
    if not manifest.is_file():
        raise DataError(f"{path} holds no {MANIFEST}. Give a bundle's folder, a run's folder, or the word imagenet.")
    if manifest.stat().st_size > MANIFEST_LIMIT:
        raise ModelError(f"{manifest} is larger than {MANIFEST_LIMIT >> 20} MiB; that is no manifest of ours.")
    return Bundle(path, parse_manifest(manifest.read_bytes(), manifest))


def parse_manifest(content: bytes, origin: Path) -> Manifest:
    """The manifest in ``content``. Raises ``ModelError`` naming ``origin`` and what is wrong."""
    try:
        return Manifest.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ModelError(
            f"{origin} is not a manifest this version reads: {where}: {first['msg']}. "
            f"Format version {FORMAT_VERSION} was expected; update eyebright, or train the bundle again."
        ) from None


def safe_name(text: str) -> str:
    """``text`` as a name for a model or folder: letters, digits, dot, dash and underscore only.

    >>> safe_name("My leaves (2024)")
    'My-leaves-2024'
    """
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.") or "model"
