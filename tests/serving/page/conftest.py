"""A browser, the page in it, and what holds of every test: nothing from elsewhere, no policy broken, no error."""

import shutil
from contextlib import contextmanager

import pytest
from fake_server import running

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = ["--no-sandbox", "--use-fake-device-for-media-stream"]

# Violations are kept from the first moment, and announcements as a screen reader would hear them.
_WATCH = """
window.violations = []; window.said = [];
document.addEventListener("securitypolicyviolation", (event) => violations.push(event.violatedDirective + event.blockedURI));
addEventListener("DOMContentLoaded", () => {
  const status = document.querySelector("[role=status]");
  new MutationObserver(() => status.textContent && said.push(status.textContent)).observe(status, {childList: true});
});
"""


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="the page is driven with playwright")
    if shutil.which(CHROMIUM) is None:
        pytest.skip(f"there is no {CHROMIUM}")
    # A module long only: while it is there this thread has a running event loop, which other modules' asyncio.run would refuse.
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def _server():
    with running() as server:
        yield server


@pytest.fixture
def server(_server):
    _server.reset()
    return _server


@pytest.fixture
def visit(browser, server):
    """``with visit(**context) as page``: the page in a window of its own, looked after until the block ends."""

    @contextmanager
    def visit(*, path="", ready=True, script=None, **context):
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 860}, "reduced_motion": "reduce", **context})
        context.set_default_timeout(8000)
        page = context.new_page()
        elsewhere, errors = [], []
        page.on("request", lambda request: _is_ours(request.url, server.url) or elsewhere.append(request.url))
        page.on("console", lambda message: _is_error(message) and errors.append(message.text))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("filechooser", lambda chooser: None)  # from the start, so that no key press is quicker than the interception
        page.add_init_script(_WATCH + (script or ""))
        page.goto(server.url + path)
        if ready:
            page.wait_for_selector("#model[data-state=ready]")
        yield page
        assert not page.evaluate("violations")
        assert not errors
        assert not elsewhere
        context.close()

    return visit


@pytest.fixture
def page(visit):
    with visit() as page:
        yield page


def _is_ours(url, origin):
    return url.startswith((origin, f"blob:{origin}", "data:", "about:"))


def _is_error(message):
    # The browser itself notes each refused request; refusals are what many tests are about.
    return message.type == "error" and "Failed to load resource" not in message.text
