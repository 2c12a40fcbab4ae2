"""Who may ask: hosts, sites and tokens, with what browsers and attackers really send."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eyebright.serving.callers import Callers, Hosts, is_from_another_site
from eyebright.serving.options import LOOPBACK_NAMES, Options

TOKEN = "a-token-of-24-characters"


def status(callers, method="GET", path="/api/models", **headers):
    named = {"host": "localhost:8000", **headers}
    given = {name.replace("_", "-").encode(): value.encode() for name, value in named.items() if value is not None}
    refusal = callers.refusal(method, path, given)
    return None if refusal is None else int(refusal.status)


@pytest.mark.parametrize("host", ["localhost", "LocalHost:8000", "127.0.0.1:8000", "[::1]:8000", "localhost.", "localhost:1"])
def test_loopback_names_are_allowed_with_any_port(host):
    assert status(Callers(Options()), host=host) is None


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io:8000", "10.0.0.7", "xlocalhost"])
def test_another_name_is_refused_as_a_name_server_may_lead_it_here(host):
    assert status(Callers(Options()), host=host) == 421


@pytest.mark.parametrize(
    "host", [None, "", "a b", "a/b", "user@localhost", "[::1", "localhost:port", "localhost\\", "a,localhost"]
)
def test_a_host_that_cannot_be_read_is_a_bad_request(host):
    assert status(Callers(Options()), host=host) == 400


@given(st.binary(max_size=40))
def test_no_host_header_whatever_breaks_the_check(host):
    refusal = Hosts(LOOPBACK_NAMES, addresses=True).refusal(host)
    assert refusal is None or refusal.status in (400, 421)


def test_beyond_loopback_addresses_are_allowed_and_names_by_list():
    callers = Callers(Options(hosts=("*.lab.example", "rose.example"), addresses=True))
    for host in ("10.0.0.7:8000", "[fe80::1]:80", "rose.example", "a.lab.example", "a.b.lab.example"):
        assert status(callers, host=host) is None
    for host in ("lab.example.evil", "evil-lab.example", "other.example"):
        assert status(callers, host=host) == 421
    assert status(Callers(Options(hosts=("*",))), host="any.example") is None


def test_hosts_that_were_seen_do_not_pile_up():
    hosts = Hosts(("*",), addresses=False)
    for number in range(1000):
        assert hosts.refusal(b"name-%d" % number) is None
    assert len(hosts._known) <= 256


# What browsers send with a POST, by where the page that asks is (Fetch Metadata, and Origin where that is missing).
OWN = [
    {"sec_fetch_site": "same-origin", "origin": "http://localhost:8000"},
    {"sec_fetch_site": "none"},  # typed, or a bookmark
    {"origin": "http://localhost:8000"},
    {"origin": "https://LOCALHOST:8000"},  # a proxy in front speaks TLS
    {},  # no browser
]
OTHERS = [
    {"sec_fetch_site": "cross-site", "origin": "http://evil.example"},
    {"sec_fetch_site": "same-site", "origin": "http://localhost:3000"},
    {"sec_fetch_site": "cross-site", "origin": "http://localhost:8000"},
    {"origin": "http://evil.example"},
    {"origin": "http://localhost:9000"},
    {"origin": "null"},
    {"origin": ""},
]


@pytest.mark.parametrize("headers", OWN)
def test_the_servers_own_page_and_programs_may_post(headers):
    assert status(Callers(Options()), "POST", **headers) is None


@pytest.mark.parametrize("headers", OTHERS)
def test_pages_of_other_sites_may_not_post_but_a_link_may_lead_here(headers):
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        assert status(Callers(Options()), method, **headers) == 403
    assert status(Callers(Options()), "GET", **headers) is None
    assert is_from_another_site(
        {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()} | {b"host": b"x"}
    )


@pytest.mark.parametrize(
    ("authorization", "expected"),
    [
        (f"Bearer {TOKEN}", None),
        (f"bearer  {TOKEN} ", None),
        (None, 401),
        ("", 401),
        ("Bearer", 401),
        ("Bearer wrong-token-of-24-chars!", 401),
        (f"Bearer {TOKEN[:-1]}", 401),
        (f"Bearer {TOKEN}x", 401),
        (f"Basic {TOKEN}", 401),
        (TOKEN, 401),
        ("Bearer é", 401),
    ],
)
def test_only_the_token_itself_opens(authorization, expected):
    assert status(Callers(Options(token=TOKEN)), authorization=authorization) == expected


def test_the_page_and_health_need_no_token_and_all_else_does():
    callers = Callers(Options(token=TOKEN, open_paths=("/aip/health",)))
    for path in ("/", "/page/app.js", "/health/ready", "/ping", "/v2/health/ready", "/favicon.ico", "/aip/health"):
        assert status(callers, path=path) is None
    for path in (
        "/api/models",
        "/metrics",
        "/openapi.json",
        "/v2",
        "/v1/models/a",
        "/predictions/a",
        "/invocations",
        "/pagex",
        "//",
    ):
        assert status(callers, path=path) == 401


def test_a_refusal_repeats_no_token():
    refusal = Callers(Options(token=TOKEN)).refusal(
        "GET", "/api", {b"host": b"localhost", b"authorization": b"Bearer my-secret"}
    )
    assert "my-secret" not in refusal.detail
    assert TOKEN not in refusal.detail
