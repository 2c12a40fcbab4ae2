"""The desk that page and dialects ask: it knows the models, bounds what a request may want, and hands pictures to the queue."""

import asyncio
import concurrent.futures
import dataclasses
import threading
from collections.abc import Callable, Sequence
from http import HTTPStatus

import numpy as np
from jaxtyping import Float32

from eyebright.core.events import Event
from eyebright.core.machine import usable_cores
from eyebright.images.decode import announced_pixels
from eyebright.serving.answers import About, Answered, HeatMap, PictureAnswer, RefusalError
from eyebright.serving.batching import Load, Workers
from eyebright.serving.served import Content, ServedModel
from eyebright.serving.shelf import Shelf

MOST_PICTURES = 32  # in one request
MOST_PIXELS = 200_000_000  # in one request, as the headers announce them
QUEUE = 128  # pictures: a second or two of work for two cores and a small network
QUEUED_BYTES = 512 * 2**20
QUESTIONS = 8  # heat maps that wait; each takes as long as dozens of answers


class Desk:
    """Everything that can be asked of the models on a ``Shelf``. Call it from one event loop; nothing here blocks that."""

    def __init__(self, shelf: Shelf, *, workers: int | None = None, queue: int = QUEUE) -> None:
        """``workers`` threads answer (default: one a core), from a queue of ``queue`` pictures; one more draws heat maps."""
        self.names = shelf.names
        self.ready = False
        self._shelf = shelf
        self._workers: Workers[Content, PictureAnswer] = Workers(
            workers or usable_cores(),
            limit=max(queue, MOST_PICTURES),
            most_bytes=QUEUED_BYTES,
            name="answering",
        )
        # A thread of its own: a heat map takes long, and nobody's answer is to wait for it.
        self._explainer: Workers[_Question, HeatMap] = Workers(1, limit=QUESTIONS, most_bytes=QUEUED_BYTES, name="explaining")
        self._reloading = asyncio.Lock()

    @property
    def load(self) -> Load:
        """What the queue of pictures has done and has to do."""
        return self._workers.load

    @property
    def explaining(self) -> Load:
        """The same of the queue of heat maps."""
        return self._explainer.load

    def about(self, name: str | None) -> About:
        """What a client may know of a model; None: of the first. Raises ``RefusalError`` 404 with the nearest names."""
        return self._shelf[name].about

    def card(self, name: str | None) -> str:
        """The model card, in markdown without a head; empty where the bundle has none. Raises as ``about`` does."""
        return self._shelf[name].card

    async def classify(self, name: str | None, pictures: Sequence[bytes]) -> Answered:
        """The answers for 1 to ``MOST_PICTURES`` encoded pictures, in their order, by one version of one model.

        A picture that cannot be read has an error, the others are answered. Raises ``RefusalError``: 404 for an unknown model,
        413 for too many pictures or more than ``MOST_PIXELS`` in all, 422 for none, 503 where the queue is full.
        """
        model = self._open_for(name)
        _check_count(len(pictures))
        if len(pictures) > 1:  # one picture alone is bounded by the decoder
            await asyncio.to_thread(_check_size, pictures)
        return await self._answered(model, pictures, sum(map(len, pictures)))

    async def classify_pixels(self, name: str | None, pixels: Float32[np.ndarray, "n 3 height width"]) -> Answered:
        """The answers for pixels in [0, 1] at the model's own size, RGB. Raises as ``classify`` does, 422 for other pixels."""
        model = self._open_for(name)
        _check_shape(pixels, model.about)
        _check_count(len(pixels))
        await asyncio.to_thread(_check_range, pixels)
        return await self._answered(model, list(pixels), pixels.nbytes)

    async def explain(self, name: str | None, picture: bytes, label: str | None) -> HeatMap:
        """What speaks for ``label`` in an encoded picture; None: for the class that the model names first.

        Raises ``RefusalError``: 404 for an unknown model, 422 for an unknown label or a picture that cannot be read, 503 where
        too many wait.
        """
        model = self._open_for(name)
        if label is not None:
            model.index_of(label)
        question = _Question(picture, label)
        try:
            return (await self._explainer.ask(_Explaining(model), [question], size=len(picture)))[0]
        finally:
            question.over.set()

    async def reload(self, name: str) -> About:
        """Opens the model again from where it was, and puts it in place of the old version once it has proved itself.

        Raises ``RefusalError``: 404 for an unknown model, 409 where the new version is refused; then the old one stays.
        """
        self._open_for(name)
        return (await asyncio.shield(asyncio.ensure_future(self._reloaded(name)))).about

    async def _reloaded(self, name: str) -> ServedModel:
        """One after the other, also where nobody waits any more: an older version must not end up in place of a newer one."""
        async with self._reloading:
            return await _aside(lambda: self._shelf.reload(name))

    async def start(self) -> None:
        """Starts the threads, where they do not run yet; from now on the desk is ready."""
        if not self.ready:
            self._workers.start()
            self._explainer.start()
            self._reloading = asyncio.Lock()  # a lock belongs to the event loop in which it was first waited for
            self.ready = True

    async def drain(self, seconds: float) -> None:
        """Refuses what is new, answers what was asked before, ``seconds`` at most, and stops the threads."""
        self.ready = False
        await asyncio.gather(self._workers.finish(seconds), self._explainer.finish(seconds))

    async def _answered(self, model: ServedModel, items: Sequence[Content], size: int) -> Answered:
        return Answered(model.about, tuple(await self._workers.ask(model, items, size=size)))

    def _open_for(self, name: str | None) -> ServedModel:
        if not self.ready:
            raise RefusalError(HTTPStatus.SERVICE_UNAVAILABLE, "The server is starting or stopping.", retry_after=5)
        return self._shelf[name]


async def _aside(work: Callable[[], ServedModel]) -> ServedModel:
    """What ``work`` gives, from a thread that ends with the process.

    A closing event loop waits for the threads of ``asyncio.to_thread``, and a model may load for minutes.
    """
    outcome: concurrent.futures.Future[ServedModel] = concurrent.futures.Future()
    outcome.set_running_or_notify_cancel()  # who no longer waits for it does not stop it

    def run() -> None:
        try:
            outcome.set_result(work())
        except Exception as error:  # told to whoever asked
            outcome.set_exception(error)

    threading.Thread(target=run, name="loading", daemon=True).start()
    return await asyncio.wrap_future(outcome)


@dataclasses.dataclass(frozen=True)
class _Question:
    """``over`` is set when nobody waits for the answer any more."""

    picture: bytes
    label: str | None
    over: threading.Event = dataclasses.field(default_factory=threading.Event)

    def on_event(self, event: Event) -> None:
        """Ends the work on a heat map that nobody waits for, at the next step of its progress."""
        if self.over.is_set():
            raise RefusalError(HTTPStatus.SERVICE_UNAVAILABLE, "Nobody waits for this heat map any more.")


@dataclasses.dataclass(frozen=True)
class _Explaining:
    """A model as the queue of heat maps asks it: one picture at a time."""

    model: ServedModel
    batch: int = 1

    def answer(self, items: Sequence[_Question], *, alone: bool) -> Sequence[HeatMap]:
        return [self.model.explain(one.picture, one.label, on_event=one.on_event) for one in items]


def _check_count(count: int) -> None:
    if count == 0:
        raise RefusalError(HTTPStatus.UNPROCESSABLE_ENTITY, "No picture was sent; one at least was expected.")
    if count > MOST_PICTURES:
        detail = f"{count} pictures were sent; at most {MOST_PICTURES} are answered in one request. Send them in parts."
        raise RefusalError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail)


def _check_size(pictures: Sequence[bytes]) -> None:
    announced = sum(map(announced_pixels, pictures))
    if announced > MOST_PIXELS:
        detail = (
            f"The pictures announce {announced / 1e6:.0f} megapixels together; at most {MOST_PIXELS / 1e6:.0f} are decoded for "
            "one request. Send them in parts, or smaller copies."
        )
        raise RefusalError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail)


def _check_shape(pixels: np.ndarray, about: About) -> None:
    size = (3, about.height, about.width)
    if pixels.dtype != np.float32 or pixels.ndim != 4 or pixels.shape[1:] != size:
        found = f"{pixels.dtype} of shape {list(pixels.shape)}"
        wanted = f"float32 of shape [n, 3, {about.height}, {about.width}]"
        detail = f"The pixels are {found}; {wanted} was expected. Resize the pictures, and put the channels first."
        raise RefusalError(HTTPStatus.UNPROCESSABLE_ENTITY, detail)


def _check_range(pixels: np.ndarray) -> None:
    low, high = float(pixels.min()), float(pixels.max())
    if not (low >= 0.0 and high <= 1.0):  # also where one is no number
        detail = f"The pixels go from {low:g} to {high:g}; 0 to 1 was expected. Divide bytes by 255, and do not normalise."
        raise RefusalError(HTTPStatus.UNPROCESSABLE_ENTITY, detail)
