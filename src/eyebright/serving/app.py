"""The application: dialects, page, health and metrics behind the limits, and a description (OpenAPI) of what is served."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, FastAPI, Response
from starlette.responses import JSONResponse

from eyebright import __version__
from eyebright.serving import problems, static
from eyebright.serving.dialects import containers, inference_v2, ours, tensorflow, torchserve
from eyebright.serving.dialects.shared import TEXT, object_of
from eyebright.serving.limits import Exchange, Gate, Limits
from eyebright.serving.logs import ServerLog
from eyebright.serving.metrics import Metrics
from eyebright.serving.options import Options
from eyebright.serving.telemetry import Traces

if TYPE_CHECKING:
    from eyebright.serving.desk import Desk

ABOUT = (
    "Ask image classifiers what is in a picture. Every answer has the header x-request-id; our refusals are problem details."
)
DRAIN_SECONDS = 25.0

_HEALTH = object_of({"status": TEXT})


def make_app(
    desk: "Desk",
    options: Options | None = None,
    *,
    gate: Gate | None = None,
    log: ServerLog | None = None,
    traces: Traces | None = None,
    environment: Mapping[str, str] | None = None,
    routers: Sequence[APIRouter] | None = None,
) -> FastAPI:
    """Everything that ``eyebright serve`` answers, as an ASGI application. Its lifespan starts the desk and drains it.

    ``gate`` is how the server says that it stops; ``environment`` is where the routes of Vertex AI are named. ``routers``
    replaces the dialects and the page.
    """
    options, gate, environment = options or Options(), gate or Gate(), environment or {}
    metrics = Metrics(desk, gate)
    app = FastAPI(
        title="eyebright",
        version=__version__,
        description=ABOUT,
        docs_url=None,  # FastAPI's pages are loaded from another origin
        redoc_url=None,
        redirect_slashes=False,  # a redirect would repeat the Host that the client named
        lifespan=_lifespan(desk),
    )
    for router in _routers(desk, options, environment) if routers is None else routers:
        app.include_router(router)
    app.include_router(health(desk, gate))
    app.include_router(metrics.router())
    problems.install(app)
    app.add_middleware(Limits, options=options, gate=gate, **_watchers(metrics, log, traces))
    app.state.metrics = metrics
    _describe_token(app, options)
    return app


def health(desk: "Desk", gate: Gate) -> APIRouter:
    """``GET /health/live`` and ``/health/ready``: answered at once, whatever waits in the queue."""
    routes = APIRouter(prefix="/health")

    @routes.get("/live", response_class=JSONResponse, responses={200: _says("The server runs.")})
    async def live() -> Response:
        """Whether the server runs; restart it where it does not answer this."""
        return JSONResponse({"status": "live"})

    @routes.get(
        "/ready", response_class=JSONResponse, responses={200: _says("Ready."), 503: _says("Starting, or about to stop.")}
    )
    async def ready() -> Response:
        """Whether predictions are answered; send none where they are not."""
        if desk.ready and not gate.stopping:
            return JSONResponse({"status": "ready"})
        return JSONResponse({"status": "stopping" if gate.stopping else "starting"}, 503)

    return routes


def _routers(desk: "Desk", options: Options, environment: Mapping[str, str]) -> list[APIRouter]:
    # A route that Vertex AI names may lie where another dialect has one, and is then Vertex AI's.
    return [
        containers.router(desk, environment),
        ours.router(desk),
        inference_v2.router(desk),
        tensorflow.router(desk),
        torchserve.router(desk),
        static.router(max_body=options.bounds.body),
    ]


def _watchers(metrics: Metrics, log: ServerLog | None, traces: Traces | None) -> dict[str, Any]:
    """What is told of each exchange: a trace begins; metrics, trace and log end with it."""

    def done(exchange: Exchange) -> None:
        model = metrics.done(exchange)
        if traces is not None:
            traces.end(exchange, model)
        if log is not None:
            log.request(exchange, model)

    return {"on_done": done} if traces is None else {"on_begin": traces.begin, "on_done": done}


def _lifespan(desk: "Desk") -> Any:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await desk.start()
        yield
        await desk.drain(DRAIN_SECONDS)

    return lifespan


def _describe_token(app: FastAPI, options: Options) -> None:
    """Adds to the OpenAPI document that a token is asked for, where it is."""
    if options.token is None:
        return
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        document = plain()
        document.setdefault("components", {})["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"token": []}]
        return document

    app.openapi = openapi  # type: ignore[method-assign]


def _says(description: str) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": _HEALTH}}}
