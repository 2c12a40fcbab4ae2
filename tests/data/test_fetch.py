"""One file from a server that breaks off, ignores, lies, stalls or leads astray: it arrives whole, or is named."""

import email.message
import io
import json
import socket
import ssl
import urllib.error
import urllib.request

import pytest
from servers import drip, file, range_of, redirect, running, stall, status, whole

from eyebright.core.errors import DataError, ResourceError, SettingsError
from eyebright.core.events import Note, Phase, Progress
from eyebright.data import address, fetch
from eyebright.data.fetch import Patience

CONTENT = bytes(range(256)) * 600  # 153,600 bytes
SIZE = len(CONTENT)


@pytest.fixture
def server():
    with running() as server:
        yield server


@pytest.fixture
def get(server, tmp_path):
    """Fetches ``/a`` and gives the bytes; ``waits`` and ``events`` are kept on it."""

    def run(path="a", *, most=SIZE + 10, stall_seconds=5.0, tries=3, on_event=None):
        patience = Patience(stall_seconds=stall_seconds, tries=tries, wait=run.waits.append)
        fetch.fetch(server.url + path, run.part, most=most, patience=patience, on_event=on_event or run.events.append)
        return run.part.read_bytes()

    run.part, run.waits, run.events = tmp_path / "a.bin.part", [], []
    return run


def test_a_file_arrives_whole_with_its_size_told_first(server, get):
    server.serve("a", file(CONTENT))
    assert get() == CONTENT
    assert get.events[0] == Phase("Downloading a.bin", SIZE, "bytes")
    assert get.events[-1] == Progress(SIZE)
    assert server.seen[0][1]["User-Agent"].startswith("eyebright/")


def test_a_broken_off_file_goes_on_where_it_stopped(server, get):
    server.serve("a", file(CONTENT, sends=1000), file(CONTENT, sends=50_000), file(CONTENT))
    assert get() == CONTENT
    assert server.ranges() == [None, "bytes=1000-", "bytes=51000-"]
    assert [headers.get("If-Range") for _, headers in server.seen] == [None, '"v1"', '"v1"']
    phases = [(event.name, event.total) for event in get.events if isinstance(event, Phase)]
    assert phases == [
        ("Downloading a.bin", SIZE),
        ("Downloading the rest of a.bin", SIZE - 1_000),
        ("Downloading the rest of a.bin", SIZE - 51_000),
    ]
    assert get.events[-1] == Progress(SIZE - 51_000)
    assert get.waits == [1.0, 1.0]  # each try brought something


def test_a_server_that_brings_bytes_each_time_is_not_given_up(server, get):
    server.serve("a", *[file(CONTENT, sends=20_000)] * 7, file(CONTENT))
    assert get(tries=2) == CONTENT
    assert len(server.seen) == 8  # 7 x 20,000 and the rest


def test_a_later_call_goes_on_with_what_an_earlier_one_left(server, get):
    server.serve("a", file(CONTENT, sends=1000), status(404))
    with pytest.raises(DataError, match="HTTP 404"):
        get()
    server.serve("a", file(CONTENT))
    assert get() == CONTENT
    assert server.ranges()[-1] == "bytes=1000-"


def test_a_part_that_is_whole_is_not_asked_for_again(server, get):
    server.serve("a", file(CONTENT))
    get()
    get()
    assert len(server.seen) == 1


def test_a_server_that_ignores_ranges_begins_anew(server, get):
    server.serve("a", whole(CONTENT, sends=1000), whole(CONTENT))
    assert get() == CONTENT


def test_a_server_that_ignores_ranges_and_always_breaks_off_is_given_up_after_a_few_tries(server, get):
    server.serve("a", whole(CONTENT, sends=1000))
    with pytest.raises(DataError, match="ended after 1,000 of 153,600 bytes, 3 times in a row"):
        get(tries=3)
    assert len(server.seen) == 4  # the first one brought something
    assert get.waits == [1.0, 1.0, 2.0]


def test_another_version_of_the_file_is_never_stitched_to_the_first(server, get):
    other = CONTENT[::-1]
    server.serve("a", file(CONTENT, sends=1000), file(other, etag='"v2"'))
    assert get() == other


def test_a_weak_validator_is_not_sent_as_it_says_nothing_of_bytes(server, get):
    server.serve("a", file(CONTENT, etag='W/"v1"', sends=1000), file(CONTENT, etag='W/"v1"'))
    assert get() == CONTENT
    assert "If-Range" not in server.seen[1][1]


@pytest.mark.parametrize(
    "given",
    [
        f"bytes 0-{SIZE - 1}/{SIZE}",  # the whole file instead of the rest
        f"bytes 999-{SIZE - 1}/{SIZE}",
        f"bytes 1000-{SIZE - 2}/{SIZE}",
        f"bytes 1000-{SIZE + 9}/{SIZE + 10}",  # of a longer file
        f"bytes 1000-{SIZE - 1}/*",
        "nonsense",
        None,
    ],
)
def test_an_answer_of_another_range_is_not_believed(server, get, given):
    server.serve("a", file(CONTENT, sends=1000), range_of(CONTENT, given), file(CONTENT))
    assert get() == CONTENT
    assert server.ranges() == [None, "bytes=1000-", None]


def test_a_range_beyond_the_end_begins_anew(server, get):
    server.serve("a", file(CONTENT, sends=1000), status(416), file(CONTENT))
    assert get() == CONTENT
    assert server.ranges() == [None, "bytes=1000-", None]


def test_a_length_that_is_too_small_cuts_the_file_for_its_sum_to_find(server, get):
    server.serve("a", whole(CONTENT, **{"Content-Length": 100}))
    assert get() == CONTENT[:100]


def test_a_file_without_a_length_is_read_to_its_end(server, get):
    server.serve("a", whole(CONTENT, **{"Content-Length": None}))
    assert get() == CONTENT
    assert get.events[0].total is None


def test_a_file_announced_as_too_large_is_refused_unread(server, get):
    server.serve("a", whole(CONTENT))
    with pytest.raises(DataError, match="announces 153,600 bytes; at most 100 were expected"):
        get(most=100)
    assert not get.part.exists()


def test_a_file_that_does_not_end_is_refused(server, get):
    server.serve("a", whole(CONTENT, **{"Content-Length": None}))
    with pytest.raises(DataError, match="sends more than the 100,000 bytes"):
        get(most=100_000)


@pytest.mark.parametrize("code", [400, 401, 403, 404, 410, 204])
def test_a_status_that_will_not_pass_is_not_tried_again(server, get, code):
    server.serve("a", status(code))
    with pytest.raises(DataError, match=f"HTTP {code}"):
        get()
    assert (len(server.seen), get.waits) == (1, [])


@pytest.mark.parametrize("code", [408, 429, 500, 502, 503, 504])
def test_a_status_that_may_pass_is_tried_again_with_longer_and_longer_pauses(server, get, code):
    server.serve("a", *[status(code)] * 3, file(CONTENT))
    assert get(tries=5) == CONTENT
    assert get.waits == [1.0, 2.0, 4.0]
    assert [event.level for event in get.events if isinstance(event, Note)] == ["warning"] * 3


def test_a_server_that_asks_for_a_pause_gets_it_within_reason(server, get):
    server.serve("a", status(503, **{"Retry-After": 7}), status(503, **{"Retry-After": 99_999}), file(CONTENT))
    assert get() == CONTENT
    assert get.waits == [7.0, fetch.LONGEST_PAUSE]


def test_a_web_page_in_the_place_of_the_file_is_refused(server, get):
    server.serve("a", status(200, b"<html>log in</html>", **{"Content-Type": "text/html; charset=utf-8"}))
    with pytest.raises(DataError, match="a web page in the place of the file"):
        get()


def test_a_server_that_stalls_is_left_and_asked_for_the_rest(server, get):
    server.serve("a", stall(CONTENT, after=1000), file(CONTENT))
    assert get(stall_seconds=0.2) == CONTENT
    assert server.ranges() == [None, "bytes=1000-"]


def test_a_server_that_drips_counts_as_stalled(server, get):
    server.serve("a", drip(CONTENT, every=0.01), file(CONTENT))
    assert get(stall_seconds=0.2) == CONTENT
    assert any("bytes in 0 s" in event.text for event in get.events if isinstance(event, Note))


def test_a_server_that_is_not_there_is_named(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/a"
    with pytest.raises(DataError, match=r"the connection failed .* 2 times in a row"):
        fetch.fetch(url, tmp_path / "a.part", most=10, patience=Patience(tries=2, wait=lambda seconds: None))


def test_redirects_are_followed_and_the_range_goes_with_them(server, get):
    server.serve("a", redirect("/b"))
    server.serve("b", file(CONTENT, sends=1000), file(CONTENT))
    assert get() == CONTENT
    assert server.ranges() == [None, None, "bytes=1000-", "bytes=1000-"]


def test_endless_redirects_are_not_followed(server, get):
    for number in range(20):
        server.serve(f"{number}", redirect(f"/{number + 1}"))
    with pytest.raises(DataError, match="HTTP 302"):
        get("0")
    assert len(server.seen) <= address.REDIRECTS + 1


@pytest.mark.parametrize("url", ["http://example.org/a", "file:///etc/passwd", "ftp://example.org/a"])
def test_redirects_to_what_is_not_fetched_are_refused_unasked(server, get, url):
    server.serve("a", redirect(url))
    with pytest.raises(DataError, match=r"HTTP 302|not followed"):
        get()


def test_a_redirect_from_https_to_http_is_refused_even_to_this_computer():
    secure = urllib.request.Request("https://example.org/a")
    headers = email.message.Message()
    for url, allowed in (("https://example.net/a", True), ("http://127.0.0.1/a", False)):
        if allowed:
            assert address.Redirects().redirect_request(secure, io.BytesIO(), 302, "", headers, url).full_url == url
        else:
            with pytest.raises(address.RedirectRefusedError, match="from https to"):
                address.Redirects().redirect_request(secure, io.BytesIO(), 302, "", headers, url)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/a",
        "ftp://example.org/a",
        "file:///a",
        "a",
        "",
        "https:///a",
        "https://u:p@example.org/a",
        "http://[x",
    ],
)
def test_only_https_is_fetched_except_from_this_computer(tmp_path, url):
    with pytest.raises(SettingsError, match="address"):
        fetch.fetch(url, tmp_path / "a.part", most=10)
    assert list(tmp_path.iterdir()) == []


def test_a_part_of_another_address_is_not_gone_on_with_but_kept_until_there_is_better(server, get):
    server.serve("a", file(CONTENT, sends=1000), status(404))
    server.serve("b", status(404), file(CONTENT))
    for path in ("a", "b"):
        with pytest.raises(DataError, match="404"):
            get(path)
    assert get.part.stat().st_size == 1000
    assert get("b") == CONTENT
    assert server.ranges()[-1] is None


@pytest.mark.parametrize("notes", [None, b"", b"[]", b'{"url": 1}', b'{"url": "u", "validator": "", "total": "x"}'])
def test_a_part_of_unknown_origin_is_not_gone_on_with(server, get, notes):
    get.part.write_bytes(b"x" * 1000)
    if notes is not None:
        get.part.with_name("a.bin.part.json").write_bytes(notes)
    server.serve("a", file(CONTENT))
    assert get() == CONTENT


def test_a_part_that_is_longer_than_the_file_is_not_gone_on_with(server, get):
    server.serve("a", file(CONTENT))
    get()
    with get.part.open("ab") as part:
        part.write(b"more")
    assert get() == CONTENT


def test_an_interruption_keeps_what_has_arrived(server, get, monkeypatch):
    monkeypatch.setattr(fetch, "TELL_SECONDS", 0.0)

    def stop(event):
        if isinstance(event, Progress):
            raise KeyboardInterrupt

    server.serve("a", file(CONTENT))
    with pytest.raises(KeyboardInterrupt):
        get(on_event=stop)
    kept = get.part.stat().st_size
    assert 0 < kept < SIZE
    assert get() == CONTENT
    assert server.ranges()[-1] == f"bytes={kept}-"


def test_two_downloads_do_not_write_the_same_part(server, get):
    pytest.importorskip("fcntl")
    server.serve("a", file(CONTENT))
    with fetch._writing(get.part, 0), pytest.raises(ResourceError, match="written by another download"):
        get()


def test_a_folder_that_cannot_be_written_is_a_resource_error(server, tmp_path):
    server.serve("a", file(CONTENT))
    (tmp_path / "taken").write_bytes(b"")
    with pytest.raises(ResourceError, match="could not be written"):
        fetch.fetch(f"{server.url}a", tmp_path / "taken" / "a.part", most=SIZE)


def test_a_full_disk_is_a_resource_error_and_keeps_what_has_arrived(server, get, monkeypatch):
    class Full(io.BytesIO):
        name = "a.bin.part"

        def write(self, piece):
            raise OSError(28, "No space left on device")

    with pytest.raises(ResourceError, match="No space left on device"):
        fetch._receive(io.BufferedReader(io.BytesIO(CONTENT)), Full(), 0, SIZE, SIZE, 5.0, lambda event: None)


def test_a_certificate_that_is_not_trusted_is_not_tried_again():
    error = ssl.SSLCertVerificationError()
    error.verify_message = "self-signed certificate"
    with pytest.raises(fetch._NeverError, match=r"not trusted \(self-signed certificate\); check this computer's clock"):
        fetch._refuse_connection(error)


def test_an_unknown_server_is_not_tried_again_and_a_name_server_that_is_busy_is():
    with pytest.raises(fetch._NeverError, match="no such server"):
        fetch._refuse_connection(socket.gaierror(socket.EAI_NONAME, "Name or service not known"))
    with pytest.raises(fetch._AgainError, match="Temporary failure"):
        fetch._refuse_connection(socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"))


def test_what_is_noted_of_a_part_is_json_beside_it(server, get):
    server.serve("a", file(CONTENT))
    get()
    noted = json.loads(get.part.with_name("a.bin.part.json").read_text())
    assert noted == {"url": f"{server.url}a", "validator": '"v1"', "total": SIZE}
    fetch.discard(get.part)
    assert list(get.part.parent.iterdir()) == []
