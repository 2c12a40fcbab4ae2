"""The desk: what a request may want, one version an answer, nothing lost, nobody starved."""

import asyncio
import os
import sys
import threading
import time

import numpy as np
import pytest
from pictures import jpeg, noise, png, png_claiming

from eyebright.core.bundle import read_bundle
from eyebright.core.events import Progress
from eyebright.serving.answers import HeatMap, RefusalError
from eyebright.serving.desk import MOST_PICTURES, QUESTIONS, Desk
from eyebright.serving.served import ServedModel
from eyebright.serving.shelf import open_shelf

from .shelves import CLASSES, bundle_of


@pytest.fixture
def folder(tmp_path):
    return bundle_of(tmp_path / "rose")


@pytest.fixture
def shelf(folder):
    return open_shelf([str(folder)])


def at(shelf, work, **options):
    """What ``work(desk)`` gives, in an event loop of its own."""

    async def main():
        desk = Desk(shelf, **options)
        await desk.start()
        try:
            return await asyncio.wait_for(work(desk), 60)
        finally:
            await desk.drain(5)

    return asyncio.run(main())


def refused(shelf, work):
    with pytest.raises(RefusalError) as error:
        at(shelf, work)
    return error.value


def test_pictures_are_answered_in_order_and_the_unreadable_one_has_an_error(shelf):
    contents = [jpeg(noise(20, 20, seed)) for seed in range(5)]
    contents[2] = b"no picture"
    answered = at(shelf, lambda desk: desk.classify("rose", contents))
    assert answered.about == shelf["rose"].about
    assert [answer.error is None for answer in answered.answers] == [True, True, False, True, True]
    for content, answer in zip(contents, answered.answers, strict=True):
        if answer.error is None:
            expected = shelf["rose"].answer([content])[0].probabilities
            np.testing.assert_allclose(answer.probabilities, expected, atol=1e-6)


def test_a_model_that_nobody_knows_is_refused_with_the_nearest(shelf):
    for work in (
        lambda desk: desk.classify("rosa", [png()]),
        lambda desk: desk.classify_pixels("rosa", np.zeros((1, 3, 8, 8), dtype=np.float32)),
        lambda desk: desk.explain("rosa", png(), None),
        lambda desk: desk.reload("rosa"),
    ):
        error = refused(shelf, work)
        assert (error.status, error.detail) == (404, "Unknown model 'rosa'. Did you mean rose?")


def test_a_request_has_one_picture_at_least_and_not_too_many(shelf):
    assert refused(shelf, lambda desk: desk.classify(None, [])).status == 422
    assert refused(shelf, lambda desk: desk.classify(None, [png()] * (MOST_PICTURES + 1))).status == 413
    assert len(at(shelf, lambda desk: desk.classify(None, [png()] * MOST_PICTURES)).answers) == MOST_PICTURES
    many = np.zeros((MOST_PICTURES + 1, 3, 8, 8), dtype=np.float32)
    assert refused(shelf, lambda desk: desk.classify_pixels(None, many)).status == 413
    assert refused(shelf, lambda desk: desk.classify_pixels(None, many[:0])).status == 422


def test_more_megapixels_than_are_decoded_for_one_request_are_refused_by_their_headers(shelf, monkeypatch):
    """Six pictures that announce 36 megapixels each: 216 together, where 200 are the most. None of them is decoded."""
    monkeypatch.setattr(ServedModel, "answer", lambda *_, **__: pytest.fail("something was decoded"))
    error = refused(shelf, lambda desk: desk.classify(None, [png_claiming(6000, 6000)] * 6))
    assert error.status == 413
    assert "216 megapixels together; at most 200" in error.detail


def test_a_bomb_beside_a_picture_has_an_error_and_the_picture_its_answer(shelf):
    bomb, good = at(shelf, lambda desk: desk.classify(None, [png_claiming(12_000, 12_000), png()])).answers
    assert "144.0 megapixels" in bomb.error
    assert good.error is None


@pytest.mark.parametrize(
    ("pixels", "said"),
    [
        (np.zeros((1, 3, 8, 9), dtype=np.float32), r"shape \[1, 3, 8, 9\]; float32 of shape \[n, 3, 8, 8\]"),
        (np.zeros((1, 8, 8, 3), dtype=np.float32), "channels first"),
        (np.zeros((3, 8, 8), dtype=np.float32), "was expected"),
        (np.zeros((1, 3, 8, 8)), "float64"),
        (np.full((1, 3, 8, 8), 1.5, dtype=np.float32), "from 1.5 to 1.5; 0 to 1"),
        (np.full((1, 3, 8, 8), -0.1, dtype=np.float32), "do not normalise"),
        (np.full((1, 3, 8, 8), np.nan, dtype=np.float32), "nan"),
    ],
)
def test_pixels_of_another_kind_are_refused(shelf, pixels, said):
    with pytest.raises(RefusalError, match=said) as error:
        at(shelf, lambda desk: desk.classify_pixels(None, pixels))
    assert error.value.status == 422


def test_pixels_are_answered_row_by_row(shelf):
    pixels = np.random.default_rng(0).random((3, 3, 8, 8), dtype=np.float32)
    answered = at(shelf, lambda desk: desk.classify_pixels(None, pixels))
    expected = [shelf["rose"].answer([row])[0].probabilities for row in pixels]
    np.testing.assert_allclose([answer.probabilities for answer in answered.answers], expected, atol=1e-6)


def test_before_it_starts_and_after_it_stopped_it_says_so(shelf):
    async def main():
        desk = Desk(shelf)
        states = [desk.ready]
        for change in (desk.start, desk.start, lambda: desk.drain(1), lambda: desk.drain(1), desk.start, lambda: desk.drain(1)):
            await change()
            states.append(desk.ready)
        assert desk.about(None).name == "rose"  # what it is may be asked at any time
        with pytest.raises(RefusalError, match="starting or stopping") as error:
            await desk.classify(None, [png()])
        return states, error.value

    states, error = asyncio.run(main())
    assert states == [False, True, True, False, False, True, False]
    assert (error.status, error.retry_after) == (503, 5)


def test_draining_loses_nothing_that_was_asked_before(shelf):
    async def work(desk):
        asked = [asyncio.ensure_future(desk.classify(None, [jpeg(noise(20, 20, seed))])) for seed in range(60)]
        await asyncio.sleep(0)
        await desk.drain(30)
        return [one.answers[0].error for one in await asyncio.gather(*asked)]

    assert at(shelf, work) == [None] * 60


def test_a_heat_map_that_takes_long_keeps_nobody_from_an_answer_and_its_own_queue_is_bounded(shelf, monkeypatch):
    gate, begun = threading.Event(), threading.Event()

    def slow(model, content, label, *, on_event):
        begun.set()
        assert gate.wait(20)
        return HeatMap(model.about, label, "occlusion", np.zeros((2, 2), dtype=np.float32), 0.0, 0.0, 1.0, 1.0)

    monkeypatch.setattr(ServedModel, "explain", slow)

    async def work(desk):
        asked = [asyncio.ensure_future(desk.explain(None, png(), "thorn"))]
        await asyncio.to_thread(begun.wait)
        asked += [asyncio.ensure_future(desk.explain(None, png(), "thorn")) for _ in range(QUESTIONS)]
        await asyncio.sleep(0)
        with pytest.raises(RefusalError) as full:
            await desk.explain(None, png(), "thorn")
        answered = await asyncio.gather(*(desk.classify(None, [png()]) for _ in range(20)))
        gate.set()
        return full.value.status, len(answered), [heat.label for heat in await asyncio.gather(*asked)]

    assert at(shelf, work) == (503, 20, ["thorn"] * (QUESTIONS + 1))


def test_work_on_a_heat_map_that_nobody_waits_for_is_given_up(shelf, monkeypatch):
    begun, ended = threading.Event(), threading.Event()

    def endless(model, content, label, *, on_event):
        begun.set()
        try:
            while True:
                on_event(Progress(1))
        finally:
            ended.set()

    monkeypatch.setattr(ServedModel, "explain", endless)

    async def work(desk):
        asked = asyncio.ensure_future(desk.explain(None, png(), None))
        await asyncio.to_thread(begun.wait, 10)
        asked.cancel()
        return await asyncio.to_thread(ended.wait, 10)

    assert at(shelf, work)


def test_an_unknown_label_is_refused_before_anything_is_drawn(shelf, monkeypatch):
    monkeypatch.setattr(ServedModel, "explain", lambda *_, **__: pytest.fail("it was asked"))
    error = refused(shelf, lambda desk: desk.explain(None, png(), "pedal"))
    assert (error.status, "Did you mean petal" in error.detail) == (422, True)


def test_a_version_that_is_refused_leaves_the_old_one_answering(shelf, folder):
    async def work(desk):
        before = desk.about("rose")
        (folder / "model.onnx").write_bytes(b"damaged")
        with pytest.raises(RefusalError, match=r"model.onnx has sha256") as error:
            await desk.reload("rose")
        return error.value.status, before, await desk.classify(None, [png()])

    status, before, answered = at(shelf, work)
    assert (status, answered.about, answered.answers[0].error) == (409, before, None)


def test_a_model_that_is_still_loading_does_not_keep_the_server_from_stopping(shelf, monkeypatch):
    gate, begun = threading.Event(), threading.Event()

    def slow(name):
        begun.set()
        assert gate.wait(8)
        return shelf[name]

    monkeypatch.setattr(shelf, "reload", slow)

    async def work(desk):
        loading = asyncio.ensure_future(desk.reload("rose"))
        await asyncio.to_thread(begun.wait, 5)
        return loading

    began = time.monotonic()
    loading = at(shelf, work)
    assert time.monotonic() - began < 5
    assert loading.cancelled()
    gate.set()


# --- loading again under load


def test_with_200_requests_in_flight_during_20_reloads_each_is_answered_by_one_version(tmp_path):
    """Two versions in turn behind a link that is swapped. Which one answered is told, and the numbers are its own."""
    versions = [bundle_of(tmp_path / name, seed=seed) for seed, name in enumerate(("first", "second"))]
    contents = [jpeg(noise(20, 20, seed)) for seed in range(3)]
    expected = {}
    for version in versions:
        model = ServedModel.open("rose", read_bundle(version))
        expected[model.about.sha256] = np.array([answer.probabilities for answer in model.answer(contents)])
    assert np.abs(np.subtract(*expected.values())).max() > 0.01  # they can be told apart
    place = tmp_path / "rose"
    place.symlink_to(versions[0])

    def swap(version):
        (tmp_path / "next").symlink_to(version)
        os.replace(tmp_path / "next", place)

    async def work(desk):
        over = False
        found = []

        async def client():
            while not over:
                answered = await desk.classify("rose", contents)
                found.append((answered.about.sha256, [answer.probabilities for answer in answered.answers]))

        clients = [asyncio.ensure_future(client()) for _ in range(200)]
        for turn in range(1, 21):
            swap(versions[turn % 2])
            await desk.reload("rose")
        over = True
        await asyncio.gather(*clients)
        return found

    found = at(open_shelf([str(place)]), work, queue=1000)
    assert len(found) >= 200
    assert {sha256 for sha256, _ in found} == set(expected)
    for sha256, rows in found:
        np.testing.assert_allclose(rows, expected[sha256], atol=1e-6)


def test_memory_does_not_grow_with_requests(shelf):
    """Nothing refers to a picture once it is answered, and the process holds as much after 600 requests as after 300."""
    content = jpeg(noise(100, 100))  # 8 kB: 300 of them kept would be 2.4 MB
    before = sys.getrefcount(content)

    async def asked(desk, times):
        for _ in range(times):
            await asyncio.gather(*(desk.classify(None, [content]) for _ in range(10)))
        return resident()

    async def work(desk):
        await asked(desk, 30)
        return [await asked(desk, 30), await asked(desk, 30)]

    first, second = at(shelf, work)
    assert sys.getrefcount(content) == before
    assert second - first < 2**20


def resident():
    """Bytes of this process in memory."""
    if not os.path.exists("/proc/self/statm"):
        pytest.skip("the system does not tell how much memory a process has")
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def test_cards_and_names_are_told(shelf):
    desk = Desk(shelf)
    assert desk.names == ("rose",)
    assert desk.card(None).startswith("# Parts of a rose")
    assert desk.about("rose").classes == CLASSES
    assert desk.load.waiting == desk.explaining.waiting == 0
