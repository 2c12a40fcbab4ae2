"""One picture on the page: how it comes in, and every way in which it is answered or not."""

import pytest
from fake_server import picture, problem, raw, slowly, unreadable
from page_acts import bars, choose, file, focused, hand_over, heard, sample, settled, title

NASTY = '<img src=x onerror="window.hacked=1"><b>bold</b>'


def test_the_first_screen_names_the_model_in_one_line_and_offers_ways_in(page):
    assert page.inner_text("h1") == "eyebright"
    assert page.locator("#models option").all_inner_texts() == ["MobileNetV2 (ImageNet)", "CIFAR-10"]
    assert page.inner_text("#model-summary").startswith("Names what is in a photograph")
    assert page.locator("#model-facts li").all_inner_texts() == ["1,000 classes", "224 × 224 px", "ONNX"]
    assert page.inner_text("#drop-title") == "Drop a picture here"
    assert page.locator("[data-sample]").count() == 3
    assert not page.is_visible("#answer")


def test_the_card_of_a_model_is_set_as_text_and_its_html_stays_text(page):
    page.click("summary")
    page.wait_for_selector(".classes li")
    assert page.locator(".classes li").count() == 1000
    assert page.locator("#card-body h2").all_inner_texts() == ["1,000 classes", "cifar10"]
    assert page.locator("#card-body td").all_inner_texts() == [
        "accuracy",
        "0.912 [0.906, 0.917]",
        "10,000",
        "macro F1",
        "0.911 | rounded",
        "10,000",
    ]
    assert "Made from a_b <i> with" in page.inner_text("#card-body")
    assert page.locator("#card-body :is(a, script, i)").count() == 0
    page.select_option("#models", "cifar10")
    page.wait_for_selector(".classes li:has-text('automobile')")
    assert page.locator(".classes li").count() == 10


def test_a_card_that_cannot_be_fetched_can_be_asked_for_again(page, server):
    server.says("/api/models/imagenet", problem(500, "no card today"))
    page.click("summary")
    page.wait_for_selector("#card-body:has-text('No card today')")
    server.answers.clear()
    page.click("#card-body button")
    page.wait_for_selector(".classes li")


def test_a_chosen_picture_is_answered_by_label_probability_and_five_bars(page, server):
    choose(page)
    settled(page)
    assert title(page) == "Egyptian cat"
    assert page.inner_text("#verdict") == "Probability 35 %."
    assert bars(page)[0] == ("Egyptian cat", "35.2 %")
    assert bars(page)[-1] == ("quilt", "<0.1 %")
    assert page.inner_text("#answer-by") == "Answered by MobileNetV2 (ImageNet)"
    heard(page, "Egyptian cat. Probability 35 %.")
    [asked] = server.asked("/api/predict")
    assert asked["query"] == {"model": "imagenet", "top_k": "5"}
    assert (asked["file"], asked["bytes"]) == ("cat.jpg", len(sample()))


@pytest.mark.parametrize(
    ("verdict", "expected_title", "sentence", "bold"),
    [
        ("sure", "cat", "I am sure. Probability 66 %.", 1),
        ("between", "cat or dog", "Between these two I cannot decide: 66 % and 30 %.", 2),
        ("unknown", "I do not know this", "none of them is my answer", 0),
        (None, "cat", "Probability 66 %.", 1),
    ],
)
def test_the_verdict_is_said_where_there_is_one_and_none_is_invented(page, server, verdict, expected_title, sentence, bold):
    server.says("/api/predict", picture(("cat", 0.66), ("dog", 0.3), ("frog", 0.04), verdict=verdict))
    choose(page)
    settled(page)
    assert title(page) == expected_title
    assert sentence in page.inner_text("#verdict")
    assert page.locator("#bars .chosen").count() == bold
    heard(page, expected_title)


def test_figures_promise_no_more_than_they_know(page):
    said = page.evaluate(
        "async () => { const w = await import('/page/words.js');"
        " return [1, 0.9996, 0.994, 0.352, 0.0004, 0].map((p) => [w.roundly(p), w.percent(p)]); }"
    )
    assert said == [
        ["over 99 %", ">99.9 %"],
        ["over 99 %", ">99.9 %"],
        ["99 %", "99.4 %"],
        ["35 %", "35.2 %"],
        ["under 1 %", "<0.1 %"],
        ["under 1 %", "<0.1 %"],
    ]


def test_warnings_of_an_answer_are_shown_and_heard(page, server):
    server.says("/api/predict", picture(("cat", 0.9), warnings=["It has 12 frames; the first was taken."]))
    choose(page)
    settled(page)
    assert page.inner_text("#warnings") == "It has 12 frames; the first was taken."
    heard(page, "the first was taken")


def test_a_picture_can_be_dropped_and_the_page_says_so_while_it_hovers(page):
    hand_over(page, "dragenter", ("a.jpg", b"1"), target="#drop")
    assert page.evaluate("document.body.className") == "dragging"
    assert page.inner_text("#drop") == "Let go to ask"
    hand_over(page, "dragleave", ("a.jpg", b"1"), target="#drop")
    assert page.evaluate("document.body.className") == ""
    hand_over(page, "dragenter", ("a.jpg", b"1"), target="#drop")
    hand_over(page, "drop", ("dropped.jpg", sample()), target="main")
    settled(page)
    assert page.evaluate("document.body.className") == ""
    assert page.inner_text("#answer-of") == "dropped.jpg"


def test_a_dragged_word_is_no_picture(page):
    page.evaluate("document.dispatchEvent(new DragEvent('dragenter', {dataTransfer: new DataTransfer(), bubbles: true}))")
    assert page.evaluate("document.body.className") == ""


def test_a_picture_can_be_pasted(page):
    hand_over(page, "paste", ("pasted.jpg", sample()))
    settled(page)
    assert page.inner_text("#answer-of") == "pasted.jpg"


def test_the_drop_area_is_a_button_that_opens_the_file_dialogue(page):
    with page.expect_file_chooser() as opened:
        page.click("#drop")
    assert opened.value.is_multiple()
    opened.value.set_files([file()])
    settled(page)
    # The same button stays, smaller: whoever pressed it keeps the focus.
    assert page.inner_text("#drop-title") == "Another picture"
    assert page.locator("#drop").bounding_box()["height"] < 100


def test_a_sample_is_answered_at_once(page, server):
    page.click("[data-sample$='rocket.jpg']")
    settled(page)
    assert server.asked("/api/predict")[0]["bytes"] == len(sample("rocket"))


def test_a_sample_that_cannot_be_fetched_says_so_and_can_be_tried_again(page):
    page.route("**/samples/cat.jpg", lambda route: route.abort("connectionrefused"))
    page.click("[data-sample$='cat.jpg']")
    page.wait_for_selector("#notice-title:has-text('The sample cannot be fetched')")
    page.unroute("**/samples/cat.jpg")
    page.click("#notice-actions button")
    settled(page)


def test_a_phone_offers_to_photograph(visit):
    with visit(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True) as page:
        with page.expect_file_chooser() as opened:
            page.tap("#photograph")
        opened.value.set_files(file("photo.jpg"))
        settled(page)
        assert page.get_attribute("#capture", "capture") == "environment"


def test_a_picture_is_shown_while_it_is_asked_about_and_can_be_cancelled_and_asked_again(page, server):
    server.says("/api/predict", slowly(5), slowly(0))
    choose(page)
    settled(page, "sending")
    assert title(page) == "Asking …"
    assert page.get_attribute("#answer", "aria-busy") == "true"
    assert page.is_visible("#picture")
    page.click("#answer-actions button:has-text('Cancel')")
    settled(page, "cancelled")
    heard(page, "You stopped before the answer came.")
    assert focused(page) == "Ask again"
    page.keyboard.press("Enter")
    settled(page)
    assert title(page) == "Egyptian cat"


def test_changing_the_model_asks_again_about_the_same_picture(page, server):
    choose(page)
    settled(page)
    page.select_option("#models", "cifar10")
    page.wait_for_selector("#answer-by:has-text('CIFAR-10')")
    assert title(page) == "cat"
    assert [asked["query"]["model"] for asked in server.asked("/api/predict")] == ["imagenet", "cifar10"]
    assert page.url.endswith("?model=cifar10")


def test_an_answer_that_comes_late_from_the_former_model_is_not_shown(page, server):
    server.says("/api/predict", slowly(0.4), slowly(0))
    choose(page)
    settled(page, "sending")
    page.select_option("#models", "cifar10")
    settled(page)
    page.wait_for_timeout(600)
    assert title(page) == "cat"


def test_models_of_one_title_are_told_apart_by_the_names_they_are_served_under(visit, server):
    server.models = [{**server.models[0], "name": "one"}, {**server.models[0], "name": "two"}, server.models[1]]
    with visit() as page:
        expected = ["MobileNetV2 (ImageNet) (one)", "MobileNetV2 (ImageNet) (two)", "CIFAR-10"]
        assert page.locator("#models option").all_inner_texts() == expected


def test_an_address_may_name_the_model(visit):
    with visit(path="?model=cifar10") as page:
        assert page.input_value("#models") == "cifar10"
        assert page.inner_text("#model-summary").startswith("Tells ten kinds")


@pytest.mark.parametrize("answer", [unreadable, lambda detail: picture(error=detail)])
def test_a_file_that_is_no_picture_is_said_to_be_none(page, server, answer):
    server.says("/api/predict", answer("the file ends too early. Save it again."))
    choose(page, file("notes.jpg", b"not a picture"))
    settled(page, "unreadable")
    assert title(page) == "This file cannot be read as a picture"
    assert page.inner_text("#verdict") == "The file ends too early. Save it again."
    assert "No preview" in page.inner_text(".blank")
    heard(page, "The file ends too early.")
    with page.expect_file_chooser():
        page.click("#answer-actions button:has-text('Choose another')")


def test_a_picture_beyond_the_limit_is_refused_before_it_is_sent(page, server):
    page.evaluate(
        """() => {
          const transfer = new DataTransfer();
          transfer.items.add(new File([new Uint8Array(20 * 2 ** 20)], "huge.tif"));
          document.dispatchEvent(new DragEvent("drop", {dataTransfer: transfer, bubbles: true}));
        }"""
    )
    settled(page, "too-large")
    assert (
        page.inner_text("#verdict")
        == "It has 20 MiB; this server takes less than 20 MiB. Make it smaller, and choose it again."
    )
    assert not server.asked("/api/predict")


def test_what_the_server_finds_too_large_is_said_in_its_words(page, server):
    server.says("/api/predict", problem(413, "the request holds 212 megapixels; 200 are taken."))
    choose(page)
    settled(page, "too-large")
    assert page.inner_text("#verdict") == "The request holds 212 megapixels; 200 are taken."


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_asked_again_after_the_wait_it_names(page, server, status):
    server.says("/api/predict", problem(status, "32 pictures wait.", retry_after=1), slowly(0))
    choose(page)
    settled(page, "pausing")
    assert title(page) == "The server is busy"
    assert page.inner_text("#verdict") == "32 pictures wait. Asking again in 1 s."
    heard(page, "The server is busy.")
    settled(page)
    assert len(server.asked("/api/predict")) == 2


def test_a_wait_is_counted_down_heard_once_and_can_be_ended(page, server):
    server.says("/api/predict", problem(503, "Full.", retry_after=40), slowly(0))
    choose(page)
    page.wait_for_selector("#verdict:has-text('39 s')")
    assert len([said for said in page.evaluate("said") if "busy" in said]) == 1
    page.click("#answer-actions button:has-text('Ask now')")
    settled(page)


def test_a_wait_can_be_named_by_a_date(page):
    seconds = page.evaluate(
        "async () => (await import('/page/api.js')).secondsOf(new Date(Date.now() + 9000).toUTCString())",
    )
    assert 7 < seconds <= 9


def test_a_server_that_starts_again_is_waited_for(page, server):
    page.route("**/api/predict*", lambda route: route.abort("connectionrefused"), times=1)
    choose(page)
    settled(page, "pausing")
    assert title(page) == "The server does not answer"
    assert "It may be starting again. Asking again in 1 s." in page.inner_text("#verdict")
    settled(page)


def test_a_picture_waits_for_the_network_and_is_then_sent(page):
    page.context.set_offline(True)
    choose(page)
    settled(page, "pausing")
    assert title(page) == "You are offline"
    page.context.set_offline(False)
    settled(page)


def test_an_error_of_the_server_gives_its_reference_and_can_be_tried_again(page, server):
    server.says("/api/predict", problem(500, "something broke."), slowly(0))
    choose(page)
    settled(page, "failed")
    assert page.inner_text("#verdict") == "Something broke."
    assert "01J9-REF" in page.inner_text("#answer-by")
    page.click("#answer-actions button:has-text('Ask again')")
    settled(page)
    assert "01J9-REF" not in page.inner_text("#answer-by")


def test_an_answer_in_another_shape_is_not_guessed_at(page, server):
    for answer in ("<p>a login page</p>", {"schema": 2}, {"schema": 1, "results": []}, "[" * 2000, "null"):
        server.says("/api/predict", raw(200, answer))
        choose(page)
        settled(page, "failed")
        assert title(page) == "The answer cannot be understood"


def test_refusals_have_words_of_their_own_also_without_a_reason(page, server):
    expected = {
        408: "Sending took too long",
        504: "The server took too long",
        404: "The server does not have this",
        400: "The server did not answer this",
    }
    for status, words in expected.items():
        server.says("/api/predict", raw(status, "<h1>proxy</h1>"))
        choose(page)
        page.wait_for_selector(f"#answer-title:has-text('{words}')")
        assert "<" not in page.inner_text("#answer")
        assert page.inner_text("#verdict")


def test_a_picture_given_before_the_models_are_known_is_asked_about_when_they_are(visit, server):
    server.says("/api/models", problem(503, "Starting.", retry_after=2), raw(200, {"schema": 1, "models": server.models}))
    with visit(ready=False) as page:
        page.wait_for_selector("#model-summary:has-text('The server is starting. Asking again in')")
        choose(page)
        settled(page, "waiting")
        assert not server.asked("/api/predict")
        page.click("#model-summary button")
        settled(page)


def test_models_that_cannot_be_had_can_be_asked_for_again(visit, server):
    server.says("/api/models", problem(500, "no."), raw(200, {"schema": 1, "models": server.models}))
    with visit(ready=False) as page:
        page.click("#model-summary button:has-text('Try again')")
        page.wait_for_selector("#model[data-state=ready]")


def test_a_model_that_was_loaded_anew_is_shown_as_it_is_now(page, server):
    # An answer by a version that the page does not know makes it ask once what there is now.
    server.says(
        "/api/predict",
        raw(
            200,
            {
                "schema": 1,
                "model": {"name": "imagenet", "sha256": "new"},
                "results": [{"key": "a", "predictions": [{"label": "cat", "probability": 0.9}]}],
            },
        ),
    )
    server.says(
        "/api/models", raw(200, {"schema": 1, "models": [{**server.models[0], "sha256": "new", "summary": "Now better."}]})
    )
    choose(page)
    page.wait_for_selector("#model-summary:has-text('Now better.')")
    assert len(server.asked("/api/models")) == 2


def test_names_full_of_html_stay_inert(visit, server):
    server.models = [{**server.models[0], "name": "imagenet", "title": NASTY, "summary": NASTY}]
    server.says("/api/predict", picture((NASTY, 0.6), ("javascript:alert(1)", 0.4), warnings=[NASTY], verdict=NASTY))
    with visit() as page:
        assert page.locator("#models option").inner_text() == NASTY
        assert page.inner_text("#model-summary") == NASTY
        choose(page, file("<svg onload=alert(1)>.jpg"))
        settled(page)
        assert title(page) == NASTY
        assert NASTY in page.inner_text("#verdict")
        assert page.inner_text("#answer-of") == "<svg onload=alert(1)>.jpg"
        assert bars(page)[0][0] == NASTY
        assert page.locator("main :is(b, img[src='x'], svg)").count() == 0
        assert page.evaluate("window.hacked") is None


def test_a_token_is_asked_for_kept_in_this_tab_and_sent(visit, server):
    server.token = "open sesame"
    with visit(ready=False) as page:
        page.wait_for_selector("#token-dialog[open]")
        assert focused(page) == "token-field"
        page.keyboard.type("wrong")
        page.keyboard.press("Enter")
        page.wait_for_selector("#token-wrong:visible")
        assert page.input_value("#token-field") == ""
        page.keyboard.type("open sesame")
        page.keyboard.press("Enter")
        page.wait_for_selector("#model[data-state=ready]")
        choose(page)
        settled(page)
        assert page.evaluate("Object.values(sessionStorage)") == ["open sesame"]
        assert page.evaluate("localStorage.length + document.cookie.length") == 0
        assert "sesame" not in page.url
        page.reload()
        page.wait_for_selector("#model[data-state=ready]")  # this tab still has it


def test_a_token_asked_for_in_the_middle_is_asked_for_once_and_may_be_refused(page, server):
    server.token = "new"
    choose(page, file("a.jpg"), file("b.jpg"), file("c.jpg"))
    page.wait_for_selector("#token-dialog[open]")
    page.keyboard.press("Escape")
    page.wait_for_selector("#rows tr:nth-child(3)[data-state=failed]")
    assert page.locator("#token-dialog[open]").count() == 0
    assert "Without it nothing is answered" in page.inner_text("#rows")
    page.click("#retry-all")
    page.fill("#token-field", "new")
    page.keyboard.press("Enter")
    page.wait_for_selector("#table-said:has-text('3 of 3 pictures answered.')")


def test_a_format_that_the_browser_cannot_draw_is_answered_all_the_same(page):
    choose(page, file("slice.dcm", b"DICM", "application/dicom"))
    settled(page)
    assert "No preview" in page.inner_text(".blank")
    assert title(page) == "Egyptian cat"


def test_a_file_that_vanished_is_not_called_a_broken_network(page):
    page.route("**/api/predict*", lambda route: route.abort("failed"))
    page.evaluate("() => { File.prototype.slice = () => ({arrayBuffer: () => Promise.reject(new DOMException('gone'))}) }")
    choose(page)
    settled(page, "unreadable")
    assert title(page) == "This file can no longer be read"


def test_without_scripts_the_page_says_how_programs_ask(browser, server):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(server.url)
    assert "curl" in page.inner_text("noscript")
    context.close()
