"""Every main state of the page, by name: how to bring it about."""

from fake_server import heat, picture, problem, slowly, unreadable
from page_acts import choose, file, jpeg, settled


def empty(page, server):
    page.wait_for_selector("#drop")


def hovering(page, server):
    page.evaluate("document.body.classList.add('dragging')")


def card(page, server):
    page.select_option("#models", "cifar10")  # a thousand classes would keep axe busy for seconds
    page.click("summary")
    page.wait_for_selector(".classes li")


def sending(page, server):
    server.says("/api/predict", slowly(60))
    choose(page)
    settled(page, "sending")


def answer(page, server):
    server.says("/api/predict", picture(("cat", 0.93), ("dog", 0.05), warnings=["It has 12 frames; the first was taken."]))
    choose(page)
    settled(page)


def sure(page, server):
    server.says("/api/predict", picture(("cat", 0.97), ("dog", 0.02), verdict="sure"))
    choose(page)
    settled(page)


def between(page, server):
    server.says("/api/predict", picture(("Egyptian cat", 0.45), ("tabby, tabby cat", 0.41), ("lynx", 0.1), verdict="between"))
    choose(page)
    settled(page)


def unknown(page, server):
    server.says("/api/predict", picture(("cat", 0.3), ("dog", 0.2), verdict="unknown"))
    choose(page)
    settled(page)


def heat_map(page, server):
    server.says("/api/explain", heat())
    choose(page)
    settled(page)
    page.click("#explain")
    page.wait_for_selector("#heat:visible")


def explaining(page, server):
    server.says("/api/explain", heat(after=60))
    choose(page)
    settled(page)
    page.click("#explain")
    page.wait_for_selector("#heat-said button")


def unreadable_file(page, server):
    server.says("/api/predict", unreadable("the file ends too early."))
    choose(page, file("a-very-long-name-without-a-single-space-in-it-that-a-camera-of-1999-would-write.jpg", b"x"))
    settled(page, "unreadable")
    page.wait_for_selector(".blank:visible")


def too_large(page, server):
    server.says("/api/predict", problem(413, "the request holds 212 megapixels; 200 are taken."))
    choose(page)
    settled(page, "too-large")


def busy(page, server):
    server.says("/api/predict", problem(503, "32 pictures wait.", retry_after=90))
    choose(page)
    settled(page, "pausing")


def away(page, server):
    page.route("**/api/predict*", lambda route: route.abort("connectionrefused"))
    choose(page)
    settled(page, "pausing")


def offline(page, server):
    page.context.set_offline(True)
    choose(page)
    settled(page, "pausing")


def failed(page, server):
    server.says("/api/predict", problem(500, "something broke."))
    choose(page)
    settled(page, "failed")


def token(page, server):
    server.token = "new"
    choose(page)
    page.fill("#token-field", "old")
    page.keyboard.press("Enter")
    page.wait_for_selector("#token-wrong:visible")


def starting(page, server):
    server.says("/api/models", problem(503, "Starting.", retry_after=90))
    page.reload()
    page.wait_for_selector("#model-summary button")


def live(page, server):
    page.context.grant_permissions(["camera"])
    page.click("#camera")
    page.wait_for_selector("#pace:has-text('ms')")


def refused(page, server):
    page.context.clear_permissions()
    page.click("#camera")
    page.wait_for_selector("#notice-title:has-text('The camera was refused')")


def table(page, server):
    server.says("/api/predict", slowly(0), slowly(0), unreadable("cut off."), problem(500, "no."), slowly(60))
    choose(page, *(file(f"holiday/picture number {n} of the long trip.jpg", jpeg(20 + n, 20)) for n in range(8)))
    page.wait_for_selector("#table-said:has-text('2 of 8 pictures answered, 2 not, 4 to go.')")


SCENES = {
    scene.__name__: scene
    for scene in (
        empty, hovering, card, sending, answer, sure, between, unknown, heat_map, explaining, unreadable_file, too_large,
        busy, away, offline, failed, token, starting, live, refused, table,
    )
}  # fmt: skip
