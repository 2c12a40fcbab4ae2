"""The live camera, with Chromium's made-up device: one frame at a time, never unseen, and every way in which there is none."""

import pytest
from fake_server import picture, problem, slowly
from page_acts import choose, file, focused, heard, settled, title

HIDDEN = """() => {{
  Object.defineProperty(document, "hidden", {{value: {}, configurable: true}});
  document.dispatchEvent(new Event("visibilitychange"));
}}"""
TRACKS = "document.getElementById('video').srcObject?.getTracks().map((track) => track.readyState) ?? []"


@pytest.fixture
def live(visit):
    with visit(permissions=["camera"]) as page:
        page.click("#camera")
        yield page


def _answered(page):
    page.wait_for_selector("#pace:has-text('ms')")


def test_frames_are_answered_one_at_a_time(live, server):
    server.says("/api/predict", slowly(0.03))
    _answered(live)
    live.wait_for_timeout(700)
    asked = server.asked("/api/predict")
    assert len(asked) > 3
    assert server.most_in_flight == 1
    assert {request["begins"] for request in asked} == {b"\xff\xd8\xff\xe0"}  # JPEG
    assert title(live) == "Egyptian cat"
    assert "pictures/s" in live.inner_text("#pace")
    heard(live, "Egyptian cat")


def test_the_same_answer_is_not_said_again_and_again(live):
    _answered(live)
    live.wait_for_timeout(600)
    assert live.evaluate("said").count("Egyptian cat") == 1


def test_frames_are_no_larger_than_is_of_use(live, server):
    _answered(live)
    size = live.evaluate(
        """async () => {
          const sent = await new Promise((resolve) => {
            const fetched = window.fetch;
            window.fetch = (url, request) => {
              window.fetch = fetched;
              resolve(request.body.get("file"));
              return fetched(url, request);
            };
          });
          const bitmap = await createImageBitmap(sent);
          return [bitmap.width, bitmap.height];
        }"""
    )
    assert max(size) == 448  # twice the 224 px of this model


def test_a_picture_can_be_taken_and_the_camera_is_let_go(live):
    _answered(live)
    live.click("#shutter")
    settled(live)
    assert live.inner_text("#answer-of") == "photograph.jpg"
    assert live.evaluate(TRACKS) == []
    assert live.is_visible("#explain")


def test_the_camera_can_be_stopped(live, server):
    _answered(live)
    live.evaluate("window.kept = document.getElementById('video').srcObject.getTracks()[0]")
    live.click("#camera-stop")
    assert live.evaluate("window.kept.readyState") == "ended"
    assert focused(live) == "drop"
    assert not live.is_visible("#plate")
    live.wait_for_timeout(200)
    before = len(server.asked("/api/predict"))
    live.wait_for_timeout(300)
    assert len(server.asked("/api/predict")) == before


def test_the_camera_stops_when_the_page_cannot_be_seen_and_goes_on_only_when_told(live, server):
    _answered(live)
    live.evaluate("window.kept = document.getElementById('video').srcObject.getTracks()[0]")
    live.evaluate(HIDDEN.format("true"))
    assert live.evaluate("window.kept.readyState") == "ended"
    assert live.inner_text("#notice-title") == "The camera is off"
    live.evaluate(HIDDEN.format("false"))
    before = len(server.asked("/api/predict"))
    live.wait_for_timeout(300)
    assert len(server.asked("/api/predict")) <= before + 1
    assert focused(live) == "Go on"
    live.keyboard.press("Enter")
    _answered(live)


def test_a_camera_that_is_unplugged_is_said_to_be_gone(live):
    _answered(live)
    live.evaluate("document.getElementById('video').srcObject.getTracks()[0].dispatchEvent(new Event('ended'))")
    assert live.inner_text("#notice-title") == "The camera stopped"


def test_another_model_answers_the_next_frame(live):
    _answered(live)
    live.select_option("#models", "cifar10")
    live.wait_for_selector("#answer-by:has-text('CIFAR-10')")
    assert title(live) == "cat"


def test_a_busy_server_is_waited_for_and_the_camera_goes_on(live, server):
    _answered(live)
    server.says("/api/predict", problem(503, "Full.", retry_after=1), slowly(0))
    live.wait_for_selector("#verdict:has-text('Full. Asking again in 1 s.')")
    _answered(live)


def test_an_error_ends_the_camera_with_its_reason(live, server):
    _answered(live)
    server.says("/api/predict", problem(500, "it broke."))
    live.wait_for_selector("#notice-message:has-text('It broke.')")
    assert live.evaluate(TRACKS) == []


def test_verdicts_are_said_of_frames_too(visit, server):
    server.says("/api/predict", picture(("cat", 0.5), ("dog", 0.4), verdict="between"))
    with visit(permissions=["camera"]) as page:
        page.click("#camera")
        _answered(page)
        assert title(page) == "cat or dog"


def test_a_camera_that_is_refused_is_said_to_be_and_can_be_asked_for_again(page):
    page.click("#camera")  # the context has no permission
    page.wait_for_selector("#notice-title:has-text('The camera was refused')")
    assert "browser’s settings" in page.inner_text("#notice-message")
    heard(page, "The camera was refused.")
    assert focused(page) == "Start it again"
    page.context.grant_permissions(["camera"])
    page.keyboard.press("Enter")
    _answered(page)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ("NotFoundError", "No camera was found"),
        ("NotReadableError", "The camera is in use"),
        ("SecurityError", "The camera cannot be used"),
    ],
)
def test_each_reason_for_no_camera_has_its_remedy(visit, error, expected):
    script = f"navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('', '{error}'));"
    with visit(script=script) as page:
        page.click("#camera")
        page.wait_for_selector(f"#notice-title:has-text('{expected}')")
        assert page.inner_text("#notice-message").endswith(".")


def test_where_the_browser_allows_no_camera_at_all_the_page_says_so(visit):
    with visit(script="Object.defineProperty(navigator, 'mediaDevices', {value: undefined});") as page:
        page.click("#camera")
        page.wait_for_selector("#notice-message:has-text('https://')")


def test_a_table_is_not_lost_to_a_camera_that_is_refused(page):
    choose(page, file("a.jpg"), file("b.jpg"))
    page.wait_for_selector("#table-said:has-text('2 of 2')")
    page.click("#camera")
    page.click("#notice-actions button:has-text('Back')")
    assert page.locator("#rows tr").count() == 2
    assert focused(page) == "table-title"


def test_pictures_that_were_there_come_back_after_the_camera(live):
    _answered(live)
    live.click("#shutter")
    settled(live)
    live.click("#camera")
    _answered(live)
    live.click("#camera-stop")
    assert live.inner_text("#answer-of") == "photograph.jpg"
