"""The page: whole, self-contained, inert whatever the names, and in the right order."""

import re
from collections import Counter

import fake_reports
import pytest
from parsed import Page

from eyebright.core.report import Figure
from eyebright.render import words
from eyebright.render.html import render_report
from eyebright.render.page import safe_thumbnail
from eyebright.render.tables import flattened, headlines

# SVG writes these in full; the parser sees them as ordinary elements.
KNOWN = {
    *("html", "head", "meta", "title", "style", "body", "div", "header", "main", "section", "nav", "footer"),
    *("p", "h1", "h2", "h3", "ul", "li", "a", "dl", "dt", "dd", "span", "i", "small", "strong", "bdi", "code"),
    *("figure", "figcaption", "table", "caption", "thead", "tbody", "tr", "th", "td", "img"),
    *("svg", "g", "path", "defs", "use", "text", "clippath", "rect", "image"),
}


@pytest.fixture(scope="module")
def rendered() -> dict[str, str]:
    return {name: render_report(make()) for name, make in fake_reports.EVERY.items()}


@pytest.mark.parametrize("name", fake_reports.EVERY)
def test_every_element_is_one_of_ours_and_is_closed(rendered, name):
    page = Page(rendered[name])
    assert {tag for tag, _ in page.tags} <= KNOWN
    assert page.open == []


@pytest.mark.parametrize("name", fake_reports.EVERY)
def test_nothing_is_asked_for_from_anywhere(rendered, name):
    page = Page(rendered[name])
    for _, attributes in page.tags:
        assert not any(attribute.startswith("on") for attribute in attributes)
        for attribute in ("src", "href", "xlink:href", "action", "data"):
            assert (attributes.get(attribute) or "#").startswith(("#", "data:image/"))
        assert "url(" not in (attributes.get("style") or "")
    style = rendered[name].split("<style>")[1].split("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style
    policy = next(meta["content"] for meta in page.named("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy
    assert "script" not in policy


def test_ordinary_pages_hold_no_address_at_all(rendered):
    for name in ("trash", "leaking", "signs", "minimal"):
        assert "http:" not in rendered[name]
        assert "https:" not in rendered[name]
        assert "<script" not in rendered[name]


@pytest.mark.parametrize("name", fake_reports.EVERY)
def test_equal_reports_give_equal_pages(rendered, name):
    assert render_report(fake_reports.EVERY[name]()) == rendered[name]


@pytest.mark.parametrize("name", fake_reports.EVERY)
def test_ids_are_unique_and_every_reference_finds_its_own(rendered, name):
    page = Page(rendered[name])
    ids = Counter(attributes["id"] for _, attributes in page.tags if "id" in attributes)
    assert [each for each, times in ids.items() if times > 1] == []
    wanted = {attributes["href"][1:] for _, attributes in page.tags if (attributes.get("href") or "").startswith("#")}
    wanted |= {clip for _, each in page.tags for clip in re.findall(r"url\(#([^)]+)\)", each.get("clip-path") or "")}
    wanted |= {each["aria-labelledby"] for _, each in page.tags if "aria-labelledby" in each}
    assert wanted <= set(ids)


def test_hostile_names_are_shown_as_they_are(rendered):
    page = Page(rendered["hostile"])
    assert "<script>alert(1)</script>" in page.text
    assert "onerror='alert(2)'" in page.text
    assert "{{ 7 * 7 }} {% raw %}" in page.text.replace("\u00a0", " ")
    assert "\u202e" not in rendered["hostile"]
    assert "\x00" not in rendered["hostile"]
    assert not any("alert(3)" in str(attributes) for attributes in page.named("img"))


def test_only_bitmaps_inside_the_page_are_shown():
    assert safe_thumbnail("data:image/png;base64,AAAA") == "data:image/png;base64,AAAA"
    for uri in (None, "", "https://example.com/x.png", "data:image/svg+xml;base64,AAAA", 'data:image/png;base64,A" onload="'):
        assert safe_thumbnail(uri) == ""


@pytest.mark.parametrize("name", ["trash", "leaking", "signs"])
def test_every_figure_is_in_the_page(rendered, name):
    report = fake_reports.EVERY[name]()
    text = Page(rendered[name]).text.replace("\u00a0", " ")
    for metric, figure in report.figures.items():
        assert words.metric_name(metric) in text
        assert words.value_text(metric, figure) in text
        assert words.interval_text(metric, figure) in text
    for each in [*report.classes, *report.cautions, *report.next_steps, *report.summary, *report.data.unreadable]:
        assert each in text


def test_a_leak_is_the_first_line_and_shows_both_figures(rendered):
    text = Page(rendered["leaking"]).text.strip().removeprefix("Rubbish, sorted by material").replace("\u00a0", " ").split()
    # 180 of 203 = 0.887 as measured; 168 of 191 = 0.880 without the twelve
    first = " ".join(text[:34])
    assert first.startswith("Leak: 12 test pictures are copies of training pictures. Accuracy is 89 % (84 to 92) as measured")
    assert "88 % (83 to 92) without 12 leaked pictures" in first
    assert "Leak" not in Page(rendered["trash"]).text


def test_uneven_classes_put_the_macro_figures_in_front_and_say_so(rendered):
    names = [headline.name for headline in headlines(fake_reports.signs())]
    assert names == ["Balanced accuracy", "Macro F1", "Accuracy"]
    assert "21 times as many pictures" in Page(rendered["signs"]).text
    assert headlines(fake_reports.trash())[0].name == "Accuracy"


def test_sections_without_data_vanish(rendered):
    sections = [each["id"] for each in Page(rendered["minimal"]).named("section")]
    assert sections == ["summary", "data", "provenance"]
    full = [each["id"] for each in Page(rendered["trash"]).named("section")]
    assert full == [
        "summary", "data", "training", "classes", "subgroups", "confusions", "confidence", "mistakes", "figures", "speed",
        "provenance",
    ]  # fmt: skip


def test_pictures_have_words_and_tables_have_captions(rendered):
    page = Page(rendered["trash"])
    assert all(image["alt"] for image in page.named("img"))
    assert all(svg["aria-label"] and svg["role"] == "img" for svg in page.named("svg"))
    assert len(page.named("table")) == len(page.named("caption"))
    assert page.named("html")[0]["lang"] == "en"


def test_few_classes_get_numbers_and_many_get_a_heat_map(rendered):
    assert 'class="matrix"' in rendered["trash"]
    assert 'class="matrix"' not in rendered["signs"]
    assert "<image" in rendered["signs"]
    assert "The confusions to look at first" in rendered["signs"]


def test_an_undefined_figure_is_said_to_be_undefined():
    report = fake_reports.trash()
    figures = {**report.figures, "roc_auc_ovr": Figure(value=None, n=203, method="none")}
    assert "not defined" in render_report(report.model_copy(update={"figures": figures}))


def test_nested_provenance_is_flattened_and_hashes_are_told_apart():
    tree = {"seed": 0, "weights": {"sha256": "ab" * 32}, "nothing": None, "packages": ["a 1", "b 2"]}
    assert list(flattened(tree)) == [
        ("seed", "0", False),
        ("weights sha256", "ab" * 32, True),
        ("packages", "a 1, b 2", False),
    ]
