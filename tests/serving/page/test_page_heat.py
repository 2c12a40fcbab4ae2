"""The heat map of what decided an answer: asked for, drawn where it belongs, told in words, and given up."""

import numpy as np
import pytest
from fake_server import heat, problem
from page_acts import choose, file, focused, heard, jpeg, settled

from eyebright.serving.static import page_files


def _asked_for(page):
    choose(page)
    settled(page)
    page.click("#explain")
    page.wait_for_selector("#heat:visible")


def test_nothing_is_explained_before_it_is_asked_for(page, server):
    choose(page)
    settled(page)
    assert not server.asked("/api/explain")
    assert page.inner_text("#heat-panel") == "What decided it?"


def test_the_map_lies_over_the_picture_with_caption_legend_and_opacity(page, server):
    _asked_for(page)
    # Strongest in the first cell of the first row, as the server said.
    assert page.inner_text("#heat-caption").startswith("Warm: pushed towards Egyptian cat. Cool: pushed away from it.")
    assert "Grad-CAM, 7 × 7 cells; strongest at the upper left." in page.inner_text("#heat-caption")
    assert "framed" not in page.inner_text("#heat-caption")  # it saw the whole picture
    assert page.inner_text(".legend").split() == ["away", "towards"]
    assert page.locator("#heat").bounding_box() == page.locator("#picture").bounding_box()
    heard(page, "Warm: pushed towards Egyptian cat.")
    page.focus("#opacity")
    page.keyboard.press("Home")
    assert page.evaluate("document.getElementById('heat').style.opacity") == "0"
    assert page.inner_text("#opacity-said") == "0 %"
    [asked] = server.asked("/api/explain")
    assert asked["query"] == {"model": "imagenet", "label": "Egyptian cat"}


def test_warm_and_cool_are_drawn_where_the_values_are(page):
    _asked_for(page)
    corners = page.evaluate(
        """() => {
          const canvas = document.getElementById("heat"), context = canvas.getContext("2d");
          const at = (x, y) => [...context.getImageData(x, y, 1, 1).data];
          return [at(0, 0), at(canvas.width - 1, canvas.height - 1), at(canvas.width / 2, canvas.height / 2)];
        }"""
    )
    (red, green, blue, alpha), (cool_red, _, cool_blue, cool_alpha), (*_, middle) = corners
    assert red > 2 * max(green, blue)
    assert cool_blue > 2 * cool_red
    assert alpha == cool_alpha == 255
    assert middle < 40  # nearly 0 there: the picture shows through


def test_the_map_is_laid_where_the_server_says_also_beyond_the_edge(page, server):
    server.says("/api/explain", heat(left=0.25, top=-0.1, right=0.75, bottom=1.1))
    _asked_for(page)
    canvas, frame = page.locator("#heat").bounding_box(), page.locator("#frame").bounding_box()
    assert canvas["x"] - frame["x"] == pytest.approx(0.25 * frame["width"], abs=1)
    assert canvas["width"] == pytest.approx(0.5 * frame["width"], abs=1)
    assert frame["y"] - canvas["y"] == pytest.approx(0.1 * frame["height"], abs=1)
    assert canvas["height"] == pytest.approx(1.2 * frame["height"], abs=1)
    assert page.evaluate("getComputedStyle(document.getElementById('frame')).overflow") == "hidden"
    assert "The model saw the framed part only" in page.inner_text("#heat-caption")


def test_the_picture_has_its_own_proportions_so_that_the_map_fits(page):
    choose(page, file("wide.jpg", jpeg(300, 100)))
    settled(page)
    box = page.locator("#picture").bounding_box()
    assert box["width"] / box["height"] == pytest.approx(3, rel=0.02)


def test_another_class_can_be_explained(page, server):
    _asked_for(page)
    page.select_option("#heat-class", "tiger cat")
    page.wait_for_selector("#heat-caption:has-text('tiger cat')")
    assert [asked["query"]["label"] for asked in server.asked("/api/explain")] == ["Egyptian cat", "tiger cat"]
    assert page.input_value("#heat-class") == "tiger cat"


def test_asking_can_be_cancelled(page, server):
    server.says("/api/explain", heat(after=5))
    choose(page)
    settled(page)
    page.focus("#explain")
    page.keyboard.press("Enter")
    page.wait_for_selector("#heat-said:has-text('Looking for what decided it')")
    assert focused(page) == "Cancel"
    page.keyboard.press("Enter")
    assert page.inner_text("#heat-panel") == "What decided it?"
    assert focused(page) == "explain"


def test_the_map_can_be_taken_away_and_goes_with_its_answer(page):
    _asked_for(page)
    page.click("#heat-off")
    assert not page.is_visible("#heat")
    assert focused(page) == "explain"
    page.click("#explain")
    page.wait_for_selector("#heat:visible")
    page.select_option("#models", "cifar10")
    page.wait_for_selector("#answer-by:has-text('CIFAR-10')")
    assert not page.is_visible("#heat")
    assert page.is_visible("#explain")


def test_a_map_that_is_refused_says_why_and_can_be_tried_again(page, server):
    server.says("/api/explain", problem(422, "there is no class 'cat'."), heat())
    choose(page)
    settled(page)
    page.click("#explain")
    page.wait_for_selector("#heat-said:has-text(\"There is no class 'cat'.\")")
    page.click("#heat-said button:has-text('Try again')")
    page.wait_for_selector("#heat:visible")


def test_a_busy_server_is_waited_for_also_here(page, server):
    server.says("/api/explain", problem(503, "busy", retry_after=1), heat())
    choose(page)
    settled(page)
    page.click("#explain")
    page.wait_for_selector("#heat-said:has-text('The server is busy. Asking again in 1 s.')")
    page.wait_for_selector("#heat:visible")


def test_a_map_without_anything_warm_is_not_called_warm(page, server):
    server.says("/api/explain", heat(values=[0.01, -0.9, -0.5, -0.2], rows=2, columns=2, method="occlusion"))
    _asked_for(page)
    assert page.inner_text("#heat-caption").startswith("No part of the picture clearly pushed towards Egyptian cat.")
    assert "Occlusion, 2 × 2 cells." in page.inner_text("#heat-caption")


def test_values_between_the_cells_are_bilinear(page):
    """As numpy interpolates along each axis, clamped at the edges."""
    values = np.array([[0.0, 1.0, -1.0], [0.5, -0.5, 0.25]])
    width, height = 12, 10
    columns, rows = (np.arange(width) + 0.5) / width * 3 - 0.5, (np.arange(height) + 0.5) / height * 2 - 0.5
    across = np.stack([np.interp(columns, range(3), row) for row in values])
    expected = np.stack([np.interp(rows, range(2), column) for column in across.T], axis=1)
    found = page.evaluate(
        "async (map) => [...(await import('/page/heat.js')).smoothed(map, 12, 10)]",
        {"values": values.ravel().tolist(), "rows": 2, "columns": 3},
    )
    np.testing.assert_allclose(np.reshape(found, (height, width)), expected, atol=1e-6)


def test_the_place_of_the_strongest_cell_is_named_on_the_picture_not_on_the_map(page):
    # The warm cell is the map's upper left; where the map covers the right half only, it lies at 0.5 + 0.5 / 4 = 0.625 across.
    cases = [
        (
            {"values": [1, 0, 0, 0], "rows": 2, "columns": 2, "left": 0, "top": 0, "right": 1, "bottom": 1},
            "strongest at the upper left",
        ),
        (
            {"values": [1, 0, 0, 0], "rows": 2, "columns": 2, "left": 0.5, "top": 0, "right": 1, "bottom": 1},
            "strongest at the top",
        ),
        (
            {"values": [0, 0, 0, 1], "rows": 2, "columns": 2, "left": 0, "top": 0, "right": 1, "bottom": 1},
            "strongest at the lower right",
        ),
        ({"values": [1], "rows": 1, "columns": 1, "left": 0, "top": 0, "right": 1, "bottom": 1}, "strongest in the middle"),
        ({"values": [0.1], "rows": 1, "columns": 1, "left": 0, "top": 0, "right": 1, "bottom": 1}, None),
    ]
    found = page.evaluate(
        "async (maps) => { const h = await import('/page/heat.js'); return maps.map(h.strongest); }",
        [case for case, _ in cases],
    )
    assert found == [place for _, place in cases]


def test_the_page_has_one_drawing_of_the_colours_for_map_and_legend():
    text = page_files()["heat.js"].content.decode()
    assert text.count("colourOf(value)") == 2  # declared once, used once
