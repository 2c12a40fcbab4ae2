"""The page for everybody: axe, the keyboard alone, 320 pixels, large text, forced colours, less motion, paper."""

import re

import pytest
from fake_server import slowly
from page_acts import choose, file, focused, heard, jpeg, settled
from page_scenes import SCENES

SIZES = {320: 720, 390: 844, 1280: 860}
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
# WCAG 2.2, 2.5.8: targets of 24 by 24 CSS pixels, unless they stand in a sentence.
SMALL_TARGETS = """() => [...document.querySelectorAll("button, select, input, summary, a[href], [tabindex='0']")]
  .filter((control) => control.checkVisibility({visibilityProperty: true}) && !control.closest("p"))
  .map((control) => [control.id || control.textContent, control.getBoundingClientRect()])
  .filter(([, box]) => box.width < 24 || box.height < 24).map(([name]) => name)"""


def _violations(page):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    found = axe.run(page, options={"runOnly": {"type": "tag", "values": TAGS}, "resultTypes": ["violations"]})
    return [(one["id"], node["html"][:160]) for one in found.response["violations"] for node in one["nodes"]]


def _looks(page, width, scheme):
    page.set_viewport_size({"width": width, "height": SIZES[width]})
    page.emulate_media(color_scheme=scheme)
    assert _violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(SMALL_TARGETS) == []


@pytest.mark.parametrize("scene", ["empty", "card", "answer", "heat_map", "unreadable_file", "busy", "token", "live", "table"])
def test_axe_finds_nothing_and_nothing_is_cut_off(page, server, scene):
    SCENES[scene](page, server)
    _looks(page, 320, "dark")  # every scene in every look is slow: below


@pytest.mark.slow
@pytest.mark.parametrize("scene", SCENES)
def test_axe_finds_nothing_at_any_width_in_light_and_dark(page, server, scene):
    SCENES[scene](page, server)
    for width in SIZES:
        for scheme in ("light", "dark"):
            _looks(page, width, scheme)


def _tab_to(page, name, presses=30):
    for _ in range(presses):
        if focused(page) == name:
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"{name} is not reached by Tab; the focus is at {focused(page)}")


def test_the_keyboard_alone_is_enough_for_one_picture(page):
    _tab_to(page, "models")
    page.keyboard.press("ArrowDown")
    page.wait_for_selector("#model-summary:has-text('Tells ten kinds')")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # About this model
    page.wait_for_selector(".classes li")
    page.keyboard.press("Enter")
    _tab_to(page, "drop")
    with page.expect_file_chooser() as opened:
        page.keyboard.press("Enter")
    opened.value.set_files([file()])
    settled(page)
    heard(page, "cat. Probability 93 %.")
    assert focused(page) == "drop"
    page.keyboard.press("Shift+Tab")
    assert focused(page) == "explain"
    page.keyboard.press("Enter")
    page.wait_for_selector("#heat:visible")
    page.wait_for_timeout(50)
    assert focused(page) == "opacity"
    page.keyboard.press("ArrowRight")
    assert page.inner_text("#opacity-said") == "75 %"
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("ArrowDown")
    page.wait_for_selector("#heat-caption:has-text('dog')")
    assert focused(page) == "heat-class"
    _tab_to(page, "heat-off")
    page.keyboard.press("Enter")
    _tab_to(page, "Rocket")
    page.keyboard.press("Space")
    page.wait_for_selector("#answer-of:has-text('rocket.jpg')")
    _tab_to(page, "camera")


def test_the_keyboard_alone_is_enough_for_a_table(page, server):
    server.says("/api/predict", slowly(0), slowly(0), slowly(60))
    choose(page, *(file(f"{n}.jpg", jpeg(10 + n, 10)) for n in range(3)))
    page.wait_for_selector("#table-said:has-text('2 of 3 pictures answered, 1 to go.')")
    _tab_to(page, "cancel-all")
    page.keyboard.press("Enter")
    assert focused(page) == "save-csv"
    server.answers.clear()
    _tab_to(page, "retry-all")
    page.keyboard.press("Enter")
    page.wait_for_selector("#table-said:has-text('3 of 3 pictures answered.')")
    assert focused(page) == "save-csv"
    _tab_to(page, "1.jpg")
    page.keyboard.press("Enter")
    assert focused(page) == "answer-title"
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Shift+Tab")
    assert focused(page) == "back"
    page.keyboard.press("Enter")
    assert focused(page) == "1.jpg"


def test_the_focus_is_always_seen(page):
    choose(page)
    settled(page)
    seen = set()
    for _ in range(14):
        page.keyboard.press("Tab")
        name, style, width = page.evaluate(
            """() => {
              const here = document.activeElement, {outlineStyle, outlineWidth} = getComputedStyle(here);
              return [here.id || here.textContent, outlineStyle, parseFloat(outlineWidth)];
            }"""
        )
        if page.evaluate("document.activeElement !== document.body"):  # past the last control
            seen.add(name)
            assert style != "none", name
            assert width >= 2, name
    assert {"models", "explain", "drop", "camera"} <= seen


def test_text_may_be_twice_as_large(visit):
    # WCAG 1.4.4: at 200 % a window of 1280 pixels has 640.
    with visit(viewport={"width": 640, "height": 430}) as page:
        choose(page, file("a.jpg"))
        settled(page)
        page.evaluate("document.documentElement.style.fontSize = '212%'")
        assert page.evaluate("document.documentElement.scrollWidth") <= 640


def test_a_right_to_left_name_does_not_turn_its_neighbours_around(page, server):
    choose(page, file("قطة.jpg"))
    settled(page)
    assert page.evaluate("getComputedStyle(document.querySelector('#answer-of bdi')).unicodeBidi") == "isolate"


def test_nothing_moves_where_less_motion_is_asked_for(page, server):
    server.says("/api/predict", slowly(60))
    choose(page)
    settled(page, "sending")
    assert page.evaluate("document.getAnimations().length") == 0


def test_motion_is_short_where_it_is_allowed(visit):
    with visit(reduced_motion="no-preference") as page:
        choose(page)
        settled(page)
        durations = page.evaluate("[...document.querySelectorAll('*')].map((n) => getComputedStyle(n).transitionDuration)")
        assert {duration for duration in durations if duration != "0s"} == {"0.12s"}


def test_bars_and_map_are_seen_in_forced_colours(visit):
    with visit(forced_colors="active") as page:
        choose(page)
        settled(page)
        colours = page.evaluate(
            """() => [".chosen .track i", "li:not(.chosen) .track i"].map(
              (bar) => getComputedStyle(document.querySelector(`#bars ${bar}`)).backgroundColor)"""
        )
        canvas = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert len({*colours, canvas}) == 3


def test_paper_has_the_answer_and_no_controls(page):
    choose(page)
    settled(page)
    page.emulate_media(media="print", color_scheme="dark")
    assert page.is_visible("#answer-title")
    assert page.is_visible("#bars")
    assert page.is_visible("#picture")
    for control in ("#drop", "#explain", "#models", "[data-sample]"):
        assert not page.is_visible(control)
    red, green, blue = map(int, re.findall(r"\d+", page.evaluate("getComputedStyle(document.body).backgroundColor"))[:3])
    assert min(red, green, blue) > 240  # paper is light whatever the screen


def test_headings_and_landmarks_tell_where_one_is(page):
    choose(page)
    settled(page)
    headings = page.evaluate(
        """[...document.querySelectorAll("h1, h2, h3")].filter((heading) => heading.checkVisibility())
          .map((heading) => `${heading.tagName} ${heading.textContent}`)"""
    )
    assert headings == ["H1 eyebright", "H2 Egyptian cat"]
    assert [page.locator(mark).count() for mark in ("header", "main", "footer")] == [1, 1, 1]
    assert page.get_attribute("html", "lang") == "en"
