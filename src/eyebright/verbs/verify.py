"""``verify``: a bundle proves itself. Every file is hashed, every probe decoded again, every form asked again."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, computed_field

from eyebright.core.arrays import Logits, array_sha256, softmax
from eyebright.core.bundle import Bundle, ProbePicture
from eyebright.core.errors import DataError, EyebrightError, MissingExtraError, ModelError
from eyebright.core.events import OnEvent, silent
from eyebright.core.predictor import Predictor
from eyebright.core.settings import Settings, argument

STEPS = 2  # of an 8-bit output; processors round the products within such a network differently


class VerifySettings(Settings):
    """What ``verify`` needs to know."""

    bundle: str = argument(help="A bundle's folder, a run's folder, or the word imagenet.", positional=True, min_length=1)


class Check(BaseModel):
    """One thing that was verified, or could not be for want of a package."""

    model_config = ConfigDict(frozen=True)

    name: str
    state: Literal["ok", "failed", "skipped"]
    detail: str

    @computed_field  # type: ignore[prop-decorator]  # mypy's known limit with decorated properties
    @property
    def ok(self) -> bool:
        """Whether nothing is wrong as far as is known: what was skipped has not failed."""
        return self.state != "failed"


class VerifyResult(BaseModel):
    """All checks. The exit code is 6 where one failed."""

    model_config = ConfigDict(frozen=True)

    bundle: str
    checks: list[Check]

    @property
    def exit_code(self) -> int:
        """0, or 6 where a check failed."""
        return 0 if all(check.ok for check in self.checks) else ModelError.exit_code


def verify(bundle: str | Path, *, on_event: OnEvent = silent) -> VerifyResult:
    """The checks of ``bundle``. Raises ``DataError`` where there is none and ``ModelError`` where its manifest is refused."""
    return run(VerifySettings.resolve({"bundle": str(bundle)}), on_event)


def run(settings: VerifySettings, on_event: OnEvent = silent) -> VerifyResult:
    """The checks that ``settings`` ask for."""
    from eyebright.verbs.making.imagenet import open_bundle

    bundle = open_bundle(settings.bundle, on_event)
    prepared, decoding = decode_probe(bundle)
    checks = [*_files(bundle), *decoding]
    if prepared:
        checks += [_replay(bundle, form, prepared) for form in bundle.manifest.forms]
    return VerifyResult(bundle=bundle.manifest.name, checks=checks)


def _files(bundle: Bundle) -> list[Check]:
    manifest = bundle.manifest
    expected = {form.file: form.sha256 for form in manifest.forms.values()}
    expected["decision.json"] = manifest.decision_sha256
    if manifest.card_sha256 is not None:
        expected["README.md"] = manifest.card_sha256
    if manifest.split_sha256 is not None:
        expected["split.json"] = manifest.split_sha256
    return [_attempt(f"file {name}", functools.partial(_hashed, bundle, name, digest)) for name, digest in expected.items()]


def _hashed(bundle: Bundle, name: str, digest: str) -> str:
    bundle.file(name, digest)
    return f"sha256 {digest[:12]}..."


def _attempt(name: str, work: Callable[[], str]) -> Check:
    """The check called ``name``: passed with what ``work`` says, failed with its error, or skipped for want of a package."""
    try:
        return Check(name=name, state="ok", detail=work())
    except MissingExtraError as error:
        return Check(name=name, state="skipped", detail=f"not replayed: {error}")
    except EyebrightError as error:
        return Check(name=name, state="failed", detail=str(error))


def decode_probe(bundle: Bundle) -> tuple[list[tuple[ProbePicture, np.ndarray]], list[Check]]:
    """The probe's prepared pictures, and a check of each that decoding and resizing still give the same pixels."""
    if not bundle.manifest.probe:
        return [], [Check(name="probe", state="failed", detail="The bundle has no probe, so its answers cannot be verified.")]
    prepared: list[tuple[ProbePicture, np.ndarray]] = []
    checks = []
    for picture in bundle.manifest.probe:
        check, pixels = _decode_one(bundle, picture)
        checks.append(check)
        if pixels is not None:
            prepared.append((picture, pixels))
    return prepared, checks


def _decode_one(bundle: Bundle, picture: ProbePicture) -> tuple[Check, np.ndarray | None]:
    from eyebright.images.decode import decode
    from eyebright.images.preprocess import prepare

    name = f"decoding {picture.file}"
    try:
        content = bundle.file(picture.file, picture.sha256).read_bytes()
        pixels = prepare(decode(content, colour=bundle.manifest.preprocess.colour).picture, bundle.manifest.preprocess)
    except (ModelError, DataError) as error:
        return Check(name=name, state="failed", detail=str(error)), None
    if array_sha256(pixels) != picture.pixels_sha256:
        detail = "The pixels differ from those it was made with: Pillow or its decoders are of another version here."
        return Check(name=name, state="failed", detail=detail), pixels
    return Check(name=name, state="ok", detail="the same pixels"), pixels


def _replay(bundle: Bundle, form: str, prepared: list[tuple[ProbePicture, np.ndarray]]) -> Check:
    return _attempt(f"answers of {form}", functools.partial(_replayed, bundle, form, prepared))


def _replayed(bundle: Bundle, form: str, prepared: list[tuple[ProbePicture, np.ndarray]]) -> str:
    from eyebright.backends.open import open_predictor

    predictor, _ = open_predictor(bundle, form=form)
    worst = golden_difference(predictor, prepared)
    return f"golden logits of {len(prepared)} pictures, off by {worst:.1g} at most"


def golden_difference(predictor: Predictor, prepared: list[tuple[ProbePicture, np.ndarray]]) -> float:
    """How far a logit of ``predictor`` is from the golden one at most, over the probe's ``prepared`` pictures.

    Raises ``ModelError`` where it is more than rounding.
    """
    from eyebright.core.parity import allowed_difference
    from eyebright.images.preprocess import to_pixels

    worst = 0.0
    for picture, pixels in prepared:
        golden = np.array([picture.logits], dtype=np.float32)
        found = predictor(to_pixels(pixels[None])).logits
        difference = float(np.abs(found - golden).max())
        if not difference <= allowed_difference(golden) and not _within_steps(predictor, found, golden):
            raise ModelError(
                f"A logit for {picture.file} is off by {difference:.2g}; {allowed_difference(golden):.2g} is rounding. "
                "This is not the model that was measured; copy or train it again."
            )
        worst = max(worst, difference)
    return worst


def _within_steps(predictor: Predictor, found: Logits, golden: Logits) -> bool:
    """Whether a form that gives probabilities in steps is off by ``STEPS`` of them at most: near 0 that is much of a logit."""
    step = getattr(predictor, "probability_step", 0.0)
    return step > 0 and bool(np.abs(softmax(found) - softmax(golden)).max() <= STEPS * step)
