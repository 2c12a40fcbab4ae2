"""The page over the real server and a real bundle: what a person reads is what the model says."""

import json

import pytest
from page_acts import bars, choose, file, sample, settled, title
from serving.desks import CLASSES, write_bundle
from serving.server import running

from eyebright import predict
from eyebright.serving.desk import Desk
from eyebright.serving.options import Bounds, Deadlines, Options
from eyebright.serving.shelf import open_shelf
from eyebright.verbs.predict import PredictResult

TOKEN = "a-token-of-24-characters"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return write_bundle(tmp_path_factory.mktemp("served") / "animals")


@pytest.fixture
def served(bundle, browser, tmp_path):
    """The page at a server of its own, over two names of one bundle; its token is in this tab already."""
    desk = Desk(open_shelf([f"first={bundle}", f"second={bundle}"]), workers=1)
    options = Options(deadlines=Deadlines(notice=0.0), bounds=Bounds(body=100_000), token=TOKEN)
    with running(desk, options) as server:
        context = browser.new_context()
        context.set_default_timeout(10_000)
        page = context.new_page()
        page.add_init_script(f"window.broken = []; sessionStorage.setItem('eyebright-token', {TOKEN!r});")
        page.add_init_script("document.addEventListener('securitypolicyviolation', (event) => broken.push(event.blockedURI));")
        page.goto(f"http://127.0.0.1:{server.address[1]}/")
        page.wait_for_selector("#model[data-state=ready]")
        yield page
        assert page.evaluate("broken") == []
        context.close()


@pytest.fixture
def expected(bundle, tmp_path):
    (tmp_path / "cat.jpg").write_bytes(sample())
    return predict(bundle, tmp_path / "cat.jpg").results[0]


def test_a_picture_has_the_answer_that_predict_gives(served, expected):
    choose(served)
    settled(served)
    assert title(served) == expected.predictions[0].label
    labels, figures = zip(*bars(served), strict=True)
    assert labels == tuple(answer.label for answer in expected.predictions)
    assert [float(figure.strip("<> %")) for figure in figures] == [
        pytest.approx(100 * answer.probability, abs=0.1) for answer in expected.predictions
    ]


def test_the_heat_map_comes_for_each_class_whatever_its_name(served, expected):
    choose(served)
    settled(served)
    for answer in expected.predictions:
        if served.is_visible("#explain"):
            served.click("#explain")
        else:
            served.select_option("#heat-class", answer.label)
        served.wait_for_selector("#heat:visible")
        assert answer.label in served.inner_text("#heat-caption")


def test_the_card_and_the_classes_are_those_of_the_bundle(served):
    served.click("summary")
    served.wait_for_selector(".classes li")
    assert served.locator(".classes li").all_inner_texts() == list(CLASSES)
    assert "Knows seven words." in served.inner_text("#card-body")
    assert served.locator("#models option").count() == 2


def test_a_table_with_a_broken_file_is_saved_as_predict_prints_it(served, expected):
    choose(served, file("cat.jpg"), file("broken.jpg", sample()[:5000]), file("large.jpg", sample() * 5))
    served.wait_for_selector("#table-said:has-text('1 of 3 pictures answered, 2 not.')")
    assert served.locator("#rows .state").all_inner_texts() == ["answered", "unreadable", "too large"]
    with served.expect_download() as download:
        served.click("#save-json")
    kept = PredictResult.model_validate(json.loads(download.value.path().read_text()))
    assert kept.results[0] == expected.model_copy(update={"key": "cat.jpg"})
    assert kept.results[1].error


def test_without_the_token_the_page_is_there_and_nothing_is_answered(bundle, browser):
    with running(Desk(open_shelf([str(bundle)]), workers=1), Options(token=TOKEN)) as server:
        context = browser.new_context()
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{server.address[1]}/")
        page.wait_for_selector("#token-dialog[open]")
        page.fill("#token-field", TOKEN)
        page.keyboard.press("Enter")
        page.wait_for_selector("#model[data-state=ready]")
        context.close()
