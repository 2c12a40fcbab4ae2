"""Who may ask: the names that a request may be for (421), the pages it may come from (403), the token it has to show (401).

A server on loopback is reached by every page that its user opens. A page of another site gives itself away: by the name it was
reached under, where name servers were made to lead here (DNS rebinding), or by what its browser says of where it comes from.
"""

import hmac
import ipaddress
import re
from collections.abc import Mapping
from http import HTTPStatus

from eyebright.serving.answers import RefusalError
from eyebright.serving.options import Options

OPEN_PATHS = frozenset(("/", "/ping", "/favicon.ico"))
OPEN_PREFIXES = ("/page/", "/health/", "/v2/health/")
NO_HOST = "The request does not say for which host it is, or not in a way that can be read."
ANOTHER_SITE = "A page of another site asked for this. Only this server's own page may; programs leave out the Origin header."

_HOST = re.compile(rb"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?").fullmatch
_SAFE_METHODS = frozenset(("GET", "HEAD", "OPTIONS"))
_KNOWN_HOSTS = 256  # values of the header that are remembered as allowed


class Callers:
    """Judges requests by their heads, as ``options`` has it."""

    def __init__(self, options: Options) -> None:
        self._hosts = Hosts(options.hosts, addresses=options.addresses)
        self._token = options.token.encode() if options.token is not None else None
        self._open = OPEN_PATHS.union(options.open_paths)

    def refusal(self, method: str, path: str, headers: Mapping[bytes, bytes]) -> RefusalError | None:
        """Why the caller is refused; None where it is not."""
        refusal = self._hosts.refusal(headers.get(b"host"))
        if refusal is not None:
            return refusal
        if method not in _SAFE_METHODS and is_from_another_site(headers):
            return RefusalError(HTTPStatus.FORBIDDEN, ANOTHER_SITE)
        if self._token is None or (method in _SAFE_METHODS and (path in self._open or path.startswith(OPEN_PREFIXES))):
            return None
        return _token_refusal(headers.get(b"authorization", b""), self._token)


class Hosts:
    """The names that a request may be for. A page of another site whose name was led here (DNS rebinding) names itself."""

    def __init__(self, names: tuple[str, ...], *, addresses: bool) -> None:
        self._all = "*" in names
        self._names = frozenset(name.lower() for name in names if not name.startswith("*"))
        self._endings = tuple(name[1:].lower() for name in names if name.startswith("*."))
        self._addresses = addresses
        self._known: set[bytes] = set()

    def refusal(self, header: bytes | None) -> RefusalError | None:
        """Why a request with this Host header is refused; None where it is not."""
        if header in self._known:
            return None
        match = _HOST(header or b"")
        if match is None:
            return RefusalError(
                HTTPStatus.BAD_REQUEST, "The request does not say for which host it is, or not in a way that can be read."
            )
        name = match[1].decode().strip("[]").rstrip(".").lower()
        if not self._allows(name):
            detail = f"This server does not answer for {name!r}. Where it should, start it with --allow-host {name}."
            return RefusalError(HTTPStatus.MISDIRECTED_REQUEST, detail)
        if header is not None and len(self._known) < _KNOWN_HOSTS:
            self._known.add(header)
        return None

    def _allows(self, name: str) -> bool:
        return self._all or name in self._names or name.endswith(self._endings) or (self._addresses and is_address(name))


def is_address(name: str) -> bool:
    """Whether ``name`` is a numeric address, which no name server can lead elsewhere.

    >>> is_address("10.0.0.7"), is_address("::1"), is_address("rose.example")
    (True, True, False)
    """
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_from_another_site(headers: Mapping[bytes, bytes]) -> bool:
    """Whether a browser sends this for a page of another origin. Clients that are no browsers send neither header.

    The rule is that of Go's ``http.CrossOriginProtection``: Sec-Fetch-Site decides where it is there, else Origin against Host.

    >>> is_from_another_site({b"sec-fetch-site": b"cross-site"}), is_from_another_site({b"sec-fetch-site": b"same-origin"})
    (True, False)
    """
    site = headers.get(b"sec-fetch-site")
    if site is not None:
        return site not in (b"same-origin", b"none")
    origin = headers.get(b"origin")
    if origin is None:
        return False
    return origin.partition(b"://")[2].lower() != headers.get(b"host", b"").lower()


def _token_refusal(given: bytes, wanted: bytes) -> RefusalError | None:
    scheme, _, token = given.partition(b" ")
    # The comparison takes as long for a wrong token as for the right one.
    if scheme.lower() == b"bearer" and hmac.compare_digest(token.strip(), wanted):
        return None
    found = "Another token was sent" if given else "No token was sent"
    detail = f"{found}; this server asks for its own. Send it in the header 'Authorization: Bearer TOKEN'."
    return RefusalError(HTTPStatus.UNAUTHORIZED, detail)
