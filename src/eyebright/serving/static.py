"""The page's files over HTTP: a fixed table of names made when the server starts, so that no request ever reaches a folder.

``look.css`` is the one that reports are set in. The page asks for nothing from another origin, and works under
``CONTENT_SECURITY_POLICY``: without one script or style written into the HTML.
"""

import dataclasses
import gzip
import hashlib
from collections.abc import Mapping
from http import HTTPStatus
from importlib.resources import files
from types import MappingProxyType

from fastapi import APIRouter, Request, Response

from eyebright.serving.answers import RefusalError

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "media-src 'self' blob: mediastream:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
MAX_BODY = 20 * 2**20  # bytes; the server's own limit unless it is told another
MULTIPART_ROOM = 4096  # bytes of a body that are not the picture: boundaries, headers, a long file name
# Asked again at each visit and answered by 304 where nothing changed: an upgrade never mixes two versions of the page.
CACHE_CONTROL = "no-cache"

_LOOK = "render/templates/look.css"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".jpg": "image/jpeg",
}
_LARGEST_FILE = b"@MAX_FILE_BYTES@"  # stands in index.html where the page learns how large a picture may be


@dataclasses.dataclass(frozen=True)
class Leaf:
    """One file of the page: its bytes, the same packed by gzip where that is shorter by a tenth, its type and its tag."""

    content: bytes
    packed: bytes | None
    media_type: str
    tag: str


def router(*, max_body: int = MAX_BODY) -> APIRouter:
    """``GET /`` and ``GET /page/...`` (HEAD too), for everybody: the page itself holds no secret.

    ``max_body`` is the largest body in bytes that the server takes: the page refuses a larger picture before it is sent. Any
    other name below ``/page/`` raises ``RefusalError`` 404.
    """
    leaves = dict(page_files(max_body))
    front = leaves.pop("index.html")
    routes = APIRouter(include_in_schema=False)

    @routes.api_route("/", methods=["GET", "HEAD"])
    def index(request: Request) -> Response:
        return _answer(front, request)

    @routes.api_route("/page/{name:path}", methods=["GET", "HEAD"])
    def file(name: str, request: Request) -> Response:
        leaf = leaves.get(name)
        if leaf is None:
            raise RefusalError(HTTPStatus.NOT_FOUND, "The page has no such file. Open / for the page.")
        return _answer(leaf, request)

    return routes


def page_files(max_body: int = MAX_BODY) -> Mapping[str, Leaf]:
    """Every file of the page by its name below ``/page/``, read from the installed package."""
    package = files("eyebright")
    contents = {"look.css": package.joinpath(_LOOK).read_bytes()}
    folder = package / "serving" / "page"
    for place, prefix in ((folder, ""), (folder / "samples", "samples/")):
        for entry in place.iterdir():
            if entry.is_file() and _suffix(entry.name) in _TYPES:
                contents[prefix + entry.name] = entry.read_bytes()
    largest = str(max(0, max_body - MULTIPART_ROOM)).encode()
    contents["index.html"] = contents["index.html"].replace(_LARGEST_FILE, largest)
    return MappingProxyType({name: _leaf(name, content) for name, content in sorted(contents.items())})


def _leaf(name: str, content: bytes) -> Leaf:
    packed = gzip.compress(content, mtime=0)
    worth_it = len(packed) < 0.9 * len(content)
    tag = hashlib.sha256(content).hexdigest()[:20]
    return Leaf(content, packed if worth_it else None, _TYPES[_suffix(name)], tag)


def _suffix(name: str) -> str:
    return name[name.rfind(".") :] if "." in name else ""


def _answer(leaf: Leaf, request: Request) -> Response:
    packed = leaf.packed if _takes_gzip(request.headers.get("accept-encoding", "")) else None
    # The two encodings are different bytes, so RFC 9110 (8.8.3.3) wants different strong tags.
    tag = f'"{leaf.tag}-gzip"' if packed else f'"{leaf.tag}"'
    headers = {"cache-control": CACHE_CONTROL, "etag": tag, "x-content-type-options": "nosniff"}
    if leaf.packed:
        headers["vary"] = "accept-encoding"
    if _knows(request.headers.get("if-none-match", ""), tag):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    if packed:
        headers["content-encoding"] = "gzip"
    content = leaf.content if packed is None else packed
    response = Response(content, media_type=leaf.media_type, headers=headers)
    if request.method == "HEAD":
        response.body = b""  # content-length stays what GET would send
    return response


def _takes_gzip(accepted: str) -> bool:
    for part in accepted.lower().split(","):
        coding, _, weight = part.partition(";")
        if coding.strip() == "gzip":
            return weight.replace(" ", "") not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
    return False


def _knows(if_none_match: str, tag: str) -> bool:
    """Whether the client holds ``tag`` already; compared weakly, as RFC 9110 (13.1.2) wants it."""
    held = {part.strip().removeprefix("W/") for part in if_none_match.split(",")}
    return "*" in held or tag in held
