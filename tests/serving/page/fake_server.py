"""The page over HTTP with canned answers behind it: for states that a real server shows seldom, and never on demand."""

import asyncio
import socket
import threading
import time
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from eyebright.serving.answers import RefusalError
from eyebright.serving.static import CONTENT_SECURITY_POLICY, MAX_BODY, router

CARD = """# cifar10

It tells ten kinds of things apart: *animals* and **vehicles**. Made from a\\_b &lt;i&gt; with `eyebright train`.

## Quality

Measured on 10,000 pictures of the test part; 95 % intervals in brackets.

| Metric | Value | n |
| --- | --- | --- |
| accuracy | 0.912 [0.906, 0.917] | 10,000 |
| macro F1 | 0.911 \\| rounded | 10,000 |

## Use

- Small photographs of one thing each.
- Not for [anything else](https://example.org/why).

```text
eyebright predict bundle picture.jpg
```

<script>window.hacked = true</script>
"""

MODELS = [
    {
        "name": "imagenet",
        "sha256": "3f2a91c0" * 8,
        "title": "MobileNetV2 (ImageNet)",
        "summary": "Names what is in a photograph: animals, plants, vehicles, tools, food.",
        "classes": 1000,
        "height": 224,
        "width": 224,
        "form": "onnx",
    },
    {
        "name": "cifar10",
        "sha256": "77b0e1d2" * 8,
        "title": "CIFAR-10",
        "summary": "Tells ten kinds of animals and vehicles apart on very small pictures.",
        "classes": 10,
        "height": 32,
        "width": 32,
        "form": "onnx",
    },
]
_THINGS = ("tabby", "lynx", "espresso", "spruce", "anchor", "kite", "lathe", "moss", "plover", "quill")
LABELS = {
    "imagenet": [f"{word} {n}" for n in range(100) for word in _THINGS],
    "cifar10": ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"],
}
SAYS = {
    "imagenet": [
        ("Egyptian cat", 0.3521),
        ("tabby, tabby cat", 0.2803),
        ("tiger cat", 0.0911),
        ("lynx, catamount", 0.0402),
        ("quilt", 0.0003),
    ],
    "cifar10": [("cat", 0.9312), ("dog", 0.0507), ("frog", 0.0101), ("deer", 0.0042), ("bird", 0.0018)],
}


class FakeServer:
    """``says(path, *answers)`` gives each answer once, the last one again and again; ``seen`` keeps the requests."""

    def __init__(self):
        self.answers = {}
        self.seen = []
        self.token = None
        self.models = MODELS
        self.in_flight = self.most_in_flight = 0

    def says(self, path, *answers):
        self.answers[path] = list(answers)

    def asked(self, path):
        return [request for request in self.seen if request["path"] == path]

    def reset(self):
        self.__dict__.update(FakeServer().__dict__ | {"url": self.url})


def picture(*predictions, verdict=None, warnings=(), error=None, after=0.0):
    """An answer about one picture: pairs of label and probability."""
    found = [{"label": label, "probability": probability} for label, probability in predictions]
    return lambda asked: (200, _predicted(asked, found, verdict, list(warnings), error), {}, after)


def unreadable(detail):
    """How a request is answered whose only picture cannot be read."""
    result = {"key": "file", "predictions": [], "verdict": None, "warnings": [], "error": detail}
    return problem(422, f"No picture could be read: {detail}", results=[result])


def problem(status, detail, *, after=0.0, retry_after=None, **more):
    """A refusal (RFC 9457)."""
    body = {"type": "about:blank", "title": "No", "status": status, "detail": detail, "request_id": "01J9-REF", **more}
    headers = {} if retry_after is None else {"retry-after": str(retry_after)}
    return lambda asked: (status, body, headers, after)


def raw(status, body, **headers):
    return lambda asked: (status, body, headers, 0.0)


def slowly(seconds):
    """The usual answer, late."""
    return lambda asked: (*_usual(asked)[:3], seconds)


def heat(label=None, *, values=None, rows=7, columns=7, left=0.0, top=0.0, right=1.0, bottom=1.0, method="grad-cam", after=0.0):
    """A map that is warm at the upper left and cool at the lower right."""

    def answer(asked):
        found = values or [
            round(1 - (row + column) / (rows + columns - 2) * 2, 4) for row in range(rows) for column in range(columns)
        ]
        body = {"schema": 1, "model": _named(asked), "label": label or asked["query"]["label"], "method": method}
        body |= {"rows": rows, "columns": columns, "values": found, "left": left, "top": top, "right": right, "bottom": bottom}
        return 200, body, {}, after

    return answer


def _named(asked):
    name = asked["query"].get("model", "imagenet")
    sha256 = next((model["sha256"] for model in MODELS if model["name"] == name), "0" * 64)
    return {"name": name, "sha256": sha256}


def _predicted(asked, predictions, verdict=None, warnings=(), error=None):
    result = {"key": asked["file"], "predictions": predictions, "verdict": verdict, "warnings": list(warnings), "error": error}
    return {"schema": 1, "model": _named(asked), "results": [result]}


def _usual(asked):
    name = asked["query"].get("model", "imagenet")
    if asked["path"] == "/api/explain":
        return heat()(asked)
    found = [{"label": label, "probability": probability} for label, probability in SAYS.get(name, SAYS["imagenet"])]
    return 200, _predicted(asked, found), {}, 0.0


def _app(server):
    app = FastAPI(openapi_url=None)
    app.include_router(router(max_body=MAX_BODY))

    @app.exception_handler(RefusalError)
    async def refused(request, error):
        return JSONResponse({"detail": error.detail}, int(error.status))

    @app.api_route("/api/{rest:path}", methods=["GET", "POST"])
    async def api(rest: str, request: Request):
        asked = {"path": f"/api/{rest}", "query": dict(request.query_params), "token": request.headers.get("authorization")}
        if request.method == "POST":
            form = await request.form()
            content = await form["file"].read()
            asked |= {"file": form["file"].filename, "bytes": len(content), "begins": content[:4]}
            await form.close()
        server.seen.append(asked)
        if server.token and asked["token"] != f"Bearer {server.token}":
            return JSONResponse({"status": 401, "detail": "no token"}, 401)
        server.in_flight += request.method == "POST"
        server.most_in_flight = max(server.most_in_flight, server.in_flight)
        try:
            status, body, headers, after = _answer(server, asked)
            if after:
                await asyncio.sleep(after)
        finally:
            server.in_flight -= request.method == "POST"
        if isinstance(body, str):
            return Response(body, status, headers, media_type="text/html")
        return JSONResponse(body, status, headers)

    return _guarded(app)


def _guarded(app):
    """With the headers that the real server gives every answer."""

    async def asgi(scope, receive, send):
        async def told(message):
            if message["type"] == "http.response.start":
                message["headers"].append((b"content-security-policy", CONTENT_SECURITY_POLICY.encode()))
            await send(message)

        await app(scope, receive, told)

    return asgi


def _answer(server, asked):
    scripted = server.answers.get(asked["path"])
    if scripted:
        return (scripted.pop(0) if len(scripted) > 1 else scripted[0])(asked)
    if asked["path"] == "/api/models":
        return 200, {"schema": 1, "models": server.models}, {}, 0.0
    if asked["path"].startswith("/api/models/"):
        name = asked["path"].rsplit("/", 1)[1]
        known = next(model for model in server.models if model["name"] == name)
        return 200, {"schema": 1, **known, "labels": LABELS.get(name, ["one", "two"]), "card": CARD}, {}, 0.0
    return _usual(asked)


@contextmanager
def running():
    """A server for the length of a block, on a port of its own."""
    server = FakeServer()
    listening = socket.create_server(("127.0.0.1", 0))
    server.url = f"http://127.0.0.1:{listening.getsockname()[1]}/"
    config = uvicorn.Config(_app(server), log_level="critical", lifespan="off", ws="none", timeout_graceful_shutdown=1)
    web = uvicorn.Server(config)
    thread = threading.Thread(target=web.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not web.started:
        time.sleep(0.01)
    try:
        yield server
    finally:
        web.should_exit = web.force_exit = True
        thread.join(5)
        listening.close()
