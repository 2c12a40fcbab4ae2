"""One version of one model, ready to answer: opened, warmed, checked against its own golden answers, and timed.

Where several pictures wait, each core asks the model on one thread for a picture of its own: nothing has to be shared out and
collected again within a picture. A picture that is alone is asked for on all cores, by a second session, where that is measured
to be quicker. Batches are as large as is measured to be worth it, which differs by network and form.
"""

import threading
import time
from collections.abc import Callable, Sequence
from http import HTTPStatus

import numpy as np
from jaxtyping import Float32

from eyebright.backends.open import open_predictor
from eyebright.core.arrays import Pixels
from eyebright.core.bundle import Bundle, ProbePicture, read_bundle
from eyebright.core.errors import EyebrightError, ModelError
from eyebright.core.events import Choice, Note, OnEvent, silent
from eyebright.core.machine import usable_cores
from eyebright.core.predictor import Predictor
from eyebright.core.registry import unknown
from eyebright.explanation import heat_map
from eyebright.images.preprocess import seen_box, to_pixels
from eyebright.serving.answers import About, HeatMap, PictureAnswer, RefusalError
from eyebright.serving.card import card_text, summary_of, title_of
from eyebright.verbs.answering import Prepared, judged, prepare_picture
from eyebright.verbs.verify import decode_probe, golden_difference

LARGEST_BATCH = 8
WORTH = 1.15  # what is measured to be quicker by less is left alone: timings of milliseconds vary by that much
LONGEST_BATCH = 0.1  # seconds: what a picture may wait for others that were asked for with it
TRIALS = 3  # the least of three timings is the one with the fewest disturbances

Content = bytes | Float32[np.ndarray, "3 height width"]  # an encoded picture, or pixels at the model's size


class ServedModel:
    """A model that any number of threads may ask at the same time. It holds nothing of a picture after its answer."""

    def __init__(
        self, bundle: Bundle, about: About, predictor: Predictor, *, wide: Predictor | None = None, batch: int = 1
    ) -> None:
        """``predictor`` computes on the thread that calls it, ``wide`` on all cores; ``batch`` pictures at once are best."""
        self.about, self.batch = about, batch
        self.preprocess = bundle.manifest.preprocess
        self.card = card_text(bundle)
        self._bundle, self._decision = bundle, bundle.decision()
        self._predictor, self._wide = predictor, wide or predictor
        self._explained: Predictor | None = None
        self._explaining = threading.Lock()

    @classmethod
    def open(cls, name: str, bundle: Bundle, *, form: str = "auto", on_event: OnEvent = silent) -> "ServedModel":
        """The model in ``bundle``, served under ``name``.

        Raises ``ModelError`` where it is refused or does not give its own golden answers, ``MissingExtraError`` where a package
        is missing.
        """
        sha256 = bundle.sha256
        predictor, why = open_predictor(bundle, form=form, threads=1)
        on_event(Choice(f"form of {name}", predictor.form, why))
        if predictor.form == "torch":
            _one_thread_each()
        probe = _probe(bundle, on_event)
        golden_difference(predictor, probe)  # which also warms it up
        batch, seconds = best_batch(predictor, to_pixels(np.stack([pixels for _, pixels in probe])))
        on_event(Choice(f"batch of {name}", str(batch), f"measured: {1000 * seconds:.1f} ms a picture on one core"))
        wide = _wide(bundle, probe, predictor, on_event)
        if bundle.sha256 != sha256 or read_bundle(bundle.path).manifest != bundle.manifest:
            raise ModelError(f"{bundle.path} was changed while it was read. Load it again when it is whole.")
        return cls(bundle, _about(name, sha256, bundle, predictor), predictor, wide=wide, batch=batch)

    def answer(self, contents: Sequence[Content], *, alone: bool = False) -> list[PictureAnswer]:
        """An answer for each of ``contents``. ``alone`` says that no other picture waits, so that all cores may be used.

        What cannot be read, or is not answered by numbers, has an error, the others are answered.
        """
        read = [self._read(content) for content in contents]
        predictor = self._wide if alone else self._predictor
        return [
            PictureAnswer(one.probabilities, warnings=one.warnings, error=one.error)
            for one in judged(predictor, self._decision, read)
        ]

    def explain(self, content: bytes, label: str | None, *, on_event: OnEvent = silent) -> HeatMap:
        """The heat map of what speaks for ``label`` (None: for the first class) in the encoded picture ``content``.

        ``on_event`` is told of its progress. Raises ``RefusalError`` where the picture cannot be read, the label is unknown, or
        the model's numbers are not finite.
        """
        read = self._read(content)
        if read.pixels is None:
            raise RefusalError(HTTPStatus.UNPROCESSABLE_ENTITY, str(read.error))
        target = self._first_class(read) if label is None else self.index_of(label)
        try:
            heat = heat_map(self._explainer(), read.pixels, target, on_event=on_event)
        except ModelError as error:
            raise RefusalError(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from error
        box = seen_box(*read.size, self.preprocess)
        return HeatMap(self.about, self.about.classes[target], heat.method, heat.values, *box)

    def index_of(self, label: str) -> int:
        """The place of a class. Raises ``RefusalError`` with the nearest names where there is none of that name."""
        if label not in self.about.classes:
            raise RefusalError(HTTPStatus.UNPROCESSABLE_ENTITY, unknown("class", label[:200], self.about.classes))
        return self.about.classes.index(label)

    def _read(self, content: Content) -> Prepared:
        return Prepared(content[None]) if isinstance(content, np.ndarray) else prepare_picture(content, self.preprocess)

    def _first_class(self, read: Prepared) -> int:
        (one,) = judged(self._predictor, self._decision, [read])
        if one.probabilities is None:
            raise RefusalError(HTTPStatus.UNPROCESSABLE_ENTITY, str(one.error))
        return int(one.probabilities.argmax())

    def _explainer(self) -> Predictor:
        """The predictor that is asked for heat maps: one with layers to look into, where bundle and computer have it."""
        with self._explaining:
            if self._explained is None:
                self._explained = self._predictor if self._predictor.form == "torch" else self._in_torch() or self._predictor
            return self._explained

    def _in_torch(self) -> Predictor | None:
        try:
            predictor, _ = open_predictor(self._bundle, form="torch")
        except EyebrightError:  # no torch here, no such form, or the folder has changed: the form that is open will do
            return None
        _one_thread_each()
        return predictor


def best_batch(
    predictor: Predictor, pixels: Pixels, *, largest: int = LARGEST_BATCH, clock: Callable[[], float] = time.thread_time
) -> tuple[int, float]:
    """How many pictures to ask ``predictor`` for at once, and the seconds that each then takes.

    The smallest of 1, 2, 4 ... ``largest`` with which no other is quicker by the factor ``WORTH`` for a picture; those that
    would take longer than ``LONGEST_BATCH`` in all are left out. ``clock`` is by default this thread's own time on the
    processor, in which nothing else that the computer does counts.
    """
    each = {1: least_seconds(predictor, pixels[:1], clock)}
    batch = 2
    while batch <= largest and batch * min(each.values()) <= LONGEST_BATCH:
        each[batch] = least_seconds(predictor, np.resize(pixels, (batch, *pixels.shape[1:])), clock) / batch
        batch *= 2
    quickest = min(each.values())
    chosen = next(batch for batch in each if each[batch] <= quickest * WORTH)
    return chosen, each[chosen]


def least_seconds(predictor: Predictor, pixels: Pixels, clock: Callable[[], float]) -> float:
    """The least of ``TRIALS`` timings of one call, after one that is not counted."""
    times = []
    for _ in range(TRIALS + 1):
        start = clock()
        predictor(pixels)
        times.append(clock() - start)
    return min(times[1:])


def _probe(bundle: Bundle, on_event: OnEvent) -> list[tuple[ProbePicture, np.ndarray]]:
    """The probe, prepared. Pixels that another version of a decoder makes otherwise are said; the answers will judge them.

    Raises ``ModelError`` where there is no probe, or a picture of it cannot be read.
    """
    prepared, checks = decode_probe(bundle)
    failed = [check for check in checks if not check.ok]
    if len(prepared) < max(1, len(bundle.manifest.probe)):
        reasons = " ".join(check.detail for check in failed)
        raise ModelError(f"{bundle.path} cannot show that its answers are those of the model that was measured. {reasons}")
    for check in failed:
        on_event(Note(f"{bundle.manifest.name}, {check.name}: {check.detail}", "warning"))
    return prepared


def _wide(
    bundle: Bundle, probe: list[tuple[ProbePicture, np.ndarray]], narrow: Predictor, on_event: OnEvent
) -> Predictor | None:
    """A predictor that spreads one picture over all cores, where that is quicker by the factor ``WORTH``; else None."""
    cores = usable_cores()
    if narrow.form != "onnx" or cores < 2:
        return None
    # Threads that spin would answer a little sooner, but keep the cores from the next request, and from the server itself.
    wide, _ = open_predictor(bundle, form="onnx", threads=cores, waiting="sleep")
    golden_difference(wide, probe)
    one = to_pixels(probe[0][1][None])
    clock = time.perf_counter
    turns = [(least_seconds(narrow, one, clock), least_seconds(wide, one, clock)) for _ in range(TRIALS)]
    on_one, on_all = map(min, zip(*turns, strict=True))  # measured in turns, as other work on the computer comes and goes
    gain = on_one / on_all
    taken = gain >= WORTH
    reason = f"measured: {gain:.2f} times as quick on {cores} cores as on one"
    on_event(Choice(f"a picture alone for {bundle.manifest.name}", "all cores" if taken else "one core", reason))
    return wide if taken else None


def _one_thread_each() -> None:
    """From now on torch computes on the thread that calls it: the server's threads are one a core already."""
    import torch

    torch.set_num_threads(1)


def _about(name: str, sha256: str, bundle: Bundle, predictor: Predictor) -> About:
    manifest, card = bundle.manifest, card_text(bundle)
    height, width = manifest.preprocess.size
    title, summary = title_of(card) or manifest.name, summary_of(card)
    return About(name, sha256, manifest.classes, height, width, predictor.form, title, summary)
