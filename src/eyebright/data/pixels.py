"""The pictures of a source at a model's size, prepared once by all cores: in memory, or in a file where they are too many."""

import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Thread

import numpy as np

from eyebright.core.arrays import ByteBatch
from eyebright.core.errors import ImageError, ResourceError
from eyebright.core.events import OnEvent, Phase, Progress, silent
from eyebright.core.machine import usable_cores
from eyebright.core.preprocess import Preprocess
from eyebright.data.in_order import in_order
from eyebright.data.pixel_cache import Draft, NoRoomError, PixelCache, Place
from eyebright.data.source import Source
from eyebright.images.decode import decode_any
from eyebright.images.preprocess import Resample, gains, prepare, quick_resample

MEMORY_LIMIT = 2 * 2**30  # bytes
PROGRESS_SECONDS = 0.1
WORTH_KEEPING = 0.5  # seconds of work: less is done again sooner than a file is found
WORTH_LOADING = 2.0  # seconds of work that are left: two fifths of them are spared, loading takes half of one (NOTES.md)
SEEN = 16  # pictures prepared before it is reckoned how long the others take: the first may be slow
QUICK = 0.0004  # seconds: signs of 48 pixels take .18 ms alone and .26 with two threads, leaves .52 and .51 (NOTES.md)


def prepare_all(
    source: Source,
    keys: Sequence[str],
    spec: Preprocess,
    *,
    threads: int | None = None,
    on_event: OnEvent = silent,
    scratch: Path | None = None,
    contents: Sequence[str] = (),
    cache: Path | None = None,
) -> ByteBatch:
    """The prepared pictures of ``keys``, in their order.

    Beyond ``MEMORY_LIMIT`` they lie in a new file in ``scratch``, mapped into memory; removing it is the caller's. Events
    are sent from the calling thread. With ``contents``, the sha256 of each decoded picture, those that are in the folder
    ``cache`` are taken from there, and what was slow to prepare is added to it; where all lie there together, or none does,
    nothing is copied and the array is mapped from the cache's file.

    Raises ``ImageError`` naming the key of a picture that cannot be read, and ``ResourceError`` where neither memory nor disk
    has room.
    """
    kept = PixelCache(cache, spec) if cache is not None and contents else None
    places: list[Place | None] = kept.places(contents) if kept is not None else [None] * len(keys)
    on_event(Phase("Preparing pictures", len(keys)))
    if kept is not None and (whole := kept.whole(contents, places)) is not None:
        on_event(Progress(len(keys)))
        return whole
    threads = threads or usable_cores()
    draft = kept.draft(len(keys)) if kept is not None and not any(places) else None
    if draft is not None:
        try:
            return _in_a_pack(draft, source, keys, contents, spec, threads, on_event)
        except NoRoomError:
            on_event(Phase("Preparing pictures in memory, as the cache cannot be written to", len(keys)))
    pixels = _room((len(keys), 3, spec.height, spec.width), scratch)
    try:
        for row, place in enumerate(places):
            if place is not None:
                pack, within = place
                pixels[row] = pack.pictures[within]
        unknown = [row for row, place in enumerate(places) if place is None]
        started = time.monotonic()
        _fill(pixels.__setitem__, unknown, source, keys, spec, threads, on_event)
        if kept is not None and time.monotonic() - started > WORTH_KEEPING:
            kept.add([contents[row] for row in unknown], pixels, unknown)
    except BaseException:
        _discard(pixels)
        raise
    return pixels


def _in_a_pack(
    draft: Draft,
    source: Source,
    keys: Sequence[str],
    contents: Sequence[str],
    spec: Preprocess,
    threads: int,
    on_event: OnEvent,
) -> ByteBatch:
    """The pictures in a file of the cache from the start. Raises ``NoRoomError`` where the disk refuses."""
    try:
        started = time.monotonic()
        _fill(draft.put, range(len(keys)), source, keys, spec, threads, on_event)
        pixels = draft.opened()
    except BaseException:
        draft.discard()
        raise
    if time.monotonic() - started > WORTH_KEEPING:
        draft.keep(contents)
    else:
        draft.discard()
    return pixels


class _Preparing:
    """Prepares pictures, one by one: resampled by Pillow, and by ``quick_resample`` once enough is left that loading it pays.

    It is loaded beside the work; both ways give the same bytes.
    """

    def __init__(self, source: Source, spec: Preprocess) -> None:
        self._source, self._spec = source, spec
        self._started, self._done, self._suited = time.monotonic(), 0, False
        self._resample: Resample | None = None
        self._loading: Thread | None = None

    def prepared(self, key: str) -> np.ndarray:
        """The picture of ``key``. Safe to call from many threads."""
        try:
            picture = decode_any(self._source.read(key), colour=self._spec.colour).picture
            found = prepare(picture, self._spec, resample=self._resample)
        except ImageError as error:
            raise ImageError(f"{key}: {error}") from error
        self._suited = self._suited or gains(picture, self._spec)
        self._done += 1  # a thread may miss another's: it is for an estimate
        return found

    def consider(self, total: int) -> None:
        """Begins to load the quicker way where that pays, of ``total`` pictures in all."""
        if self._loading is not None or not self._suited or self._done < SEEN:
            return
        left = (time.monotonic() - self._started) / self._done * (total - self._done)
        if left > WORTH_LOADING:
            loading = Thread(target=self._load, name="resampling")
            with contextlib.suppress(RuntimeError):  # no thread can be had now
                loading.start()
                self._loading = loading

    def _load(self) -> None:
        self._resample = quick_resample()

    def end(self) -> None:
        """Waits for what is being loaded: nothing is compiled beside what comes next, which may be timed."""
        if self._loading is not None:
            self._loading.join()


def _fill(
    put: Callable[[int, np.ndarray], None],
    rows: Sequence[int],
    source: Source,
    keys: Sequence[str],
    spec: Preprocess,
    threads: int,
    on_event: OnEvent,
) -> None:
    preparing = _Preparing(source, spec)

    def prepare_one(row: int) -> None:
        put(row, preparing.prepared(keys[row]))

    told, before = time.monotonic(), len(keys) - len(rows)
    try:
        for done, _ in enumerate(in_order(prepare_one, rows, threads=threads, quick=QUICK), before + 1):
            if time.monotonic() - told >= PROGRESS_SECONDS:
                told = time.monotonic()
                on_event(Progress(done))
                preparing.consider(len(rows))
    finally:
        preparing.end()
    on_event(Progress(len(keys)))


def _room(shape: tuple[int, ...], scratch: Path | None) -> ByteBatch:
    size = int(np.prod(shape, dtype=np.int64))
    if size <= MEMORY_LIMIT:
        return np.empty(shape, dtype=np.uint8)
    if scratch is None:
        raise ResourceError(
            f"{shape[0]:,} pictures of {shape[2]} x {shape[3]} pixels need {size / 2**30:.1f} GiB; at most "
            f"{MEMORY_LIMIT / 2**30:g} GiB are kept in memory. Give a scratch folder, or choose a smaller size."
        )
    return _room_on_disk(shape, size, scratch)


def _room_on_disk(shape: tuple[int, ...], size: int, scratch: Path) -> ByteBatch:
    name = None
    try:
        scratch.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=scratch, prefix="pixels-", suffix=".npy")
        os.close(handle)
        pixels: ByteBatch = np.lib.format.open_memmap(name, mode="w+", dtype=np.uint8, shape=shape)
        _reserve(name)
    except OSError as error:
        if name is not None:
            Path(name).unlink(missing_ok=True)
        raise ResourceError(
            f"{size / 2**30:.1f} GiB for prepared pictures cannot be had in {scratch}: {error.strerror}. "
            "Free some space, or choose another folder or a smaller size."
        ) from None
    return pixels


def _reserve(name: str) -> None:
    """Takes the blocks now: writing to a mapped hole on a full disk would kill the process instead of raising."""
    if hasattr(os, "posix_fallocate"):
        with open(name, "r+b") as file:
            os.posix_fallocate(file.fileno(), 0, os.fstat(file.fileno()).st_size)


def _discard(pixels: ByteBatch) -> None:
    if isinstance(pixels, np.memmap) and pixels.filename is not None:
        Path(str(pixels.filename)).unlink(missing_ok=True)
