"""``benchmark``: how fast each form of a model answers here, what it needs, and how far that is from the processor's limit."""

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from eyebright.core.bundle import Bundle
from eyebright.core.errors import EyebrightError, ModelError
from eyebright.core.events import OnEvent, Phase, Progress, silent
from eyebright.core.machine import machine_line, usable_cores
from eyebright.core.settings import Settings, argument

if TYPE_CHECKING:
    from eyebright.verbs.benchmarking.asking import Asked

ROUNDS = 3  # turns that each form gets


class BenchmarkSettings(Settings):
    """What ``benchmark`` needs to know."""

    bundle: str = argument(help="A bundle's folder, a run's folder, or the word imagenet.", positional=True, min_length=1)
    forms: tuple[str, ...] = argument((), help="Only these forms. Default: every one that can run here.")
    batch: int = argument(32, help="Pictures at once, where throughput is measured.", ge=1, le=4096)
    threads: int | None = argument(None, help="Threads for the arithmetic. Default: all cores.", ge=1, le=1024)
    seconds: float = argument(6.0, help="How long each form is asked, in three turns.", gt=0, le=3600)


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class FormSpeed(_Value):
    """One form: how it did, or why it could not. Times are of the network alone, pictures already decoded."""

    form: str
    state: Literal["ok", "failed", "missing"]
    reason: str = Field(default="", description="why it failed, or how to get what is missing")
    start_seconds: float | None = Field(default=None, description="from no process at all to the first answer")
    memory_mib: float | None = Field(default=None, description="the most that its process held")
    p50_ms: float | None = Field(default=None, description="of one picture")
    p99_ms: float | None = None
    n: int = Field(default=0, description="calls behind p50 and p99")
    pictures_per_second: float | None = Field(default=None, description="in batches, over all calls, slow ones included")
    difference: float | None = Field(default=None, description="of a golden logit, at most")


class Roof(_Value):
    """The least time for a picture in float32, from the network's work and what this processor reached."""

    arithmetic_ms: float = Field(description="its operations at the highest rate: no form is quicker")
    reading_ms: float = Field(description="its weights read from memory, where no cache holds them")
    million_operations: float
    weight_mib: float
    operations_per_second: float
    bytes_per_second: float


class BenchmarkResult(_Value):
    """What ``benchmark --json`` prints, the forms from the quickest to the slowest on one picture."""

    schema_version: Literal[1] = Field(default=1, alias="schema", serialization_alias="schema")
    model: str
    sha256: str
    machine: str
    threads: int
    batch: int
    size: tuple[int, int]
    views: int
    forms: list[FormSpeed]
    roof: Roof | None = None

    @property
    def exit_code(self) -> int:
        """0, or 6 where a form that could be opened failed."""
        return ModelError.exit_code if any(form.state == "failed" for form in self.forms) else 0


def benchmark(bundle: str | Path, *, on_event: OnEvent = silent, **settings: Any) -> BenchmarkResult:
    """How fast each form of ``bundle`` answers. ``settings`` are those of ``BenchmarkSettings``.

    Raises ``DataError`` where there is no bundle and ``ModelError`` where it is refused or has no form that was asked for.
    """
    return run(BenchmarkSettings.resolve({"bundle": str(bundle), **settings}), on_event)


def run(settings: BenchmarkSettings, on_event: OnEvent = silent) -> BenchmarkResult:
    """The measurement that ``settings`` ask for."""
    from eyebright.verbs.making.imagenet import open_bundle

    bundle = open_bundle(settings.bundle, on_event)
    threads = settings.threads or usable_cores()
    forms, missing = _forms(bundle, settings.forms)
    batches = tuple(dict.fromkeys((1, settings.batch)))
    on_event(Phase("Asking every form in turn", ROUNDS * len(forms) * len(batches), "turns"))
    rows = [*_measured(bundle, forms, threads, batches, settings.seconds, on_event), *missing]
    return BenchmarkResult(
        model=bundle.manifest.name,
        sha256=bundle.sha256,
        machine=machine_line(),
        threads=threads,
        batch=settings.batch,
        size=bundle.manifest.preprocess.size,
        views=len(bundle.manifest.views),
        forms=sorted(rows, key=lambda row: (row.p50_ms is None, row.p50_ms or 0.0)),
        roof=_roof(bundle, threads),
    )


def _forms(bundle: Bundle, wanted: tuple[str, ...]) -> tuple[list[str], list[FormSpeed]]:
    """Which forms can be asked, and a row for each that cannot be for want of a package."""
    from eyebright.backends.open import how_to_get, ways

    known = ways(bundle)
    if strange := [form for form in wanted if form not in known]:
        raise ModelError(f"{bundle.path} has no form {strange[0]!r}; it can be asked as {', '.join(known)}.")
    chosen = [form for form in known if not wanted or form in wanted]
    absent = [FormSpeed(form=form, state="missing", reason=how_to_get(form)) for form in chosen if not known[form]]
    return [form for form in chosen if known[form]], absent


def _measured(
    bundle: Bundle, forms: list[str], threads: int, batches: tuple[int, ...], seconds: float, on_event: OnEvent
) -> list[FormSpeed]:
    from eyebright.verbs.benchmarking.asking import Asked

    rows: list[FormSpeed] = []
    with contextlib.ExitStack() as stack:
        asked: list[Asked] = []
        for form in forms:
            try:
                one = Asked(bundle.path, form, threads)
            except EyebrightError as error:
                rows.append(FormSpeed(form=form, state="failed", reason=str(error)))
                continue
            stack.callback(one.close)
            asked.append(one)
        fallen: dict[str, str] = {}
        turns = [(one, batch) for _ in range(ROUNDS) for batch in batches for one in asked]
        for done, (one, batch) in enumerate(turns, 1):
            if one.form not in fallen:
                try:
                    one.ask(batch, seconds / (ROUNDS * len(batches)))
                except ModelError as error:  # its process died: the others go on
                    fallen[one.form] = str(error)
            on_event(Progress(done))
        rows += [FormSpeed(form=form, state="failed", reason=reason) for form, reason in fallen.items()]
        rows += [_row(one, batches[-1]) for one in asked if one.form not in fallen]
    return rows


def _row(asked: "Asked", batch: int) -> FormSpeed:
    single = 1000 * np.array(asked.took[1])
    many = asked.took[batch]
    return FormSpeed(
        form=asked.form,
        state="ok",
        start_seconds=asked.start_seconds,
        memory_mib=None if asked.memory is None else asked.memory / 2**20,
        p50_ms=float(np.median(single)),
        p99_ms=float(np.quantile(single, 0.99)),
        n=len(single),
        pictures_per_second=batch * len(many) / sum(many),
        difference=asked.difference,
    )


def _roof(bundle: Bundle, threads: int) -> Roof | None:
    """None where the bundle has no ONNX form, or the package that reads its graph is not installed."""
    if "onnx" not in bundle.manifest.forms:
        return None
    from eyebright.verbs.benchmarking.roofline import measure_machine, work_of

    try:
        work = work_of(bundle.form_file("onnx"))
        if work is None:
            return None
        machine = measure_machine(threads)
    except ModuleNotFoundError:  # onnx or threadpoolctl, of the extra train: the times are worth having without them
        return None
    return Roof(
        arithmetic_ms=1000 * machine.arithmetic_seconds(work),
        reading_ms=1000 * machine.reading_seconds(work),
        million_operations=work.operations / 1e6,
        weight_mib=work.weight_bytes / 2**20,
        operations_per_second=machine.operations,
        bytes_per_second=machine.bytes,
    )
