"""Addresses that may be fetched, and an opener that goes to no others: https, or http on this computer itself."""

import ipaddress
import urllib.request
from typing import IO, Any
from urllib.parse import urlsplit

from eyebright import __version__
from eyebright.core.errors import SettingsError

REDIRECTS = 5


class RedirectRefusedError(Exception):
    """A server led to an address that is not followed."""


def check_url(url: str) -> None:
    """Raises ``SettingsError`` where ``url`` is neither https nor http on this computer, or holds a user's name."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        raise SettingsError(f"{url[:200]!r} is no address. Give one like https://HOST/PATH") from None
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
        raise SettingsError(f"{url[:200]!r} is no https address; only those are fetched. Give one that begins with https://")
    if not host or "@" in parts.netloc:
        raise SettingsError(
            f"The address with the host {host!r} lacks a host or holds a user's name; https://HOST/PATH was expected."
        )


def is_loopback(host: str) -> bool:
    """Whether a host's name or number is this computer.

    >>> is_loopback("localhost"), is_loopback("127.0.0.1"), is_loopback("127.0.0.1.example.org")
    (True, True, False)
    """
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def request(url: str, headers: dict[str, str], *, timeout: float) -> Any:
    """The server's answer to a GET, whose body is still to be read; ``timeout`` in seconds is for each wait for bytes.

    Raises ``urllib.error.HTTPError`` for a status that is no success, ``URLError`` where there is no connection, and
    ``RedirectRefusedError``.
    """
    ours = {"User-Agent": f"eyebright/{__version__}", "Accept-Encoding": "identity"}
    return _opener(url).open(urllib.request.Request(url, headers={**ours, **headers}), timeout=timeout)


def _opener(url: str) -> urllib.request.OpenerDirector:
    """Speaks http and https and nothing else; to this computer without a proxy."""
    opener = urllib.request.OpenerDirector()
    if not is_loopback(urlsplit(url).hostname or ""):
        opener.add_handler(urllib.request.ProxyHandler())
    for handler in (
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPErrorProcessor,
        urllib.request.UnknownHandler,
        Redirects,
    ):
        opener.add_handler(handler())
    return opener


class Redirects(urllib.request.HTTPRedirectHandler):
    """Follows a few redirects, none of them away from https."""

    max_redirections = REDIRECTS

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        """The request that follows the redirect. Raises ``RedirectRefusedError`` where it is not followed."""
        try:
            check_url(newurl)
        except SettingsError as error:
            raise RedirectRefusedError(f"it leads to an address that is not followed: {error}") from None
        if urlsplit(req.full_url).scheme == "https" and urlsplit(newurl).scheme != "https":
            raise RedirectRefusedError(f"it leads from https to {newurl[:200]!r}, which is not followed")
        return super().redirect_request(req, fp, code, msg, headers, newurl)
