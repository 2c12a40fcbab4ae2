"""Figures for Prometheus at ``/metrics``. Labels come from fixed sets, so that no client can make them grow.

A model's label is one of the served names, "other" for any other and "" where no model was asked; a dialect's is one of
``problems.DIALECTS``; a status is the one that was sent, 499 where the client left first.
"""

import bisect
import collections
import time
import urllib.parse
from collections.abc import Callable, Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Protocol

from fastapi import APIRouter, Response
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from eyebright.serving.answers import About
from eyebright.serving.batching import Load
from eyebright.serving.limits import Exchange, Gate
from eyebright.serving.problems import dialect_of

SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
OUTCOMES = ("answered", "failed", "refused", "withdrawn")  # as batching.Load counts them
OTHER = "other"

_MODELLED = frozenset(("ours", "inference_v2", "tensorflow", "torchserve", "containers"))
_Labels = tuple[str, ...]


class Shown(Protocol):
    """What the metrics ask of the desk when they are fetched."""

    @property
    def names(self) -> tuple[str, ...]: ...
    @property
    def ready(self) -> bool: ...
    @property
    def load(self) -> Load: ...
    @property
    def explaining(self) -> Load: ...
    def about(self, name: str | None) -> About: ...


class Metrics:
    """Counters of one server, in a registry of their own. Only the event loop's thread touches them, so they need no locks."""

    def __init__(self, desk: Shown, gate: Gate) -> None:
        self.registry = CollectorRegistry()
        self._names, self._default = frozenset(desk.names), desk.names[0]
        self._requests: collections.Counter[_Labels] = collections.Counter()
        self._heads: collections.Counter[_Labels] = collections.Counter()
        self._reloads: collections.Counter[_Labels] = collections.Counter()
        self._seconds: dict[str, _Histogram] = collections.defaultdict(_Histogram)
        self.registry.register(_Collected(self._collect))
        self.registry.register(_Collected(lambda: _of_the_desk(desk, gate)))
        ProcessCollector(registry=self.registry)

    def done(self, exchange: Exchange) -> str:
        """Counts a finished exchange. Returns the served model that was asked, empty where none was."""
        dialect, outcome = dialect_of(exchange.path), exchange.outcome
        model = self._model_of(exchange, dialect)
        self._requests[dialect, model, str(outcome)] += 1
        self._seconds[dialect].observe(time.perf_counter() - exchange.began)
        if model and exchange.method == "POST" and dialect == "ours" and exchange.path.endswith("/reload"):
            self.reloaded(model, done=outcome == HTTPStatus.OK)
        return model

    def head_refused(self, status: int) -> None:
        """Counts a connection that was closed before it had brought a whole head."""
        self._heads[(str(status),)] += 1

    def reloaded(self, model: str, *, done: bool) -> None:
        """Counts a try to load a model again."""
        self._reloads[model, "done" if done else "refused"] += 1

    def router(self) -> APIRouter:
        """``GET /metrics`` in the text format that every Prometheus reads."""
        routes = APIRouter()

        @routes.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
        async def metrics() -> Response:
            """The server's figures for Prometheus."""
            return Response(generate_latest(self.registry), headers={"content-type": CONTENT_TYPE_PLAIN_0_0_4})

        return routes

    def _model_of(self, exchange: Exchange, dialect: str) -> str:
        if dialect not in _MODELLED:
            return ""
        named = exchange.scope.get("path_params", {}).get("name") or _query_model(exchange.scope.get("query_string", b""))
        if named is None:  # the first model answers, where a route was found at all: a request may be refused before that
            return self._default if exchange.method == "POST" and "path_params" in exchange.scope else ""
        return named if named in self._names else OTHER

    def _collect(self) -> Iterator[Metric]:
        yield _counter("eyebright_requests", "Requests answered", ("dialect", "model", "status"), self._requests)
        yield _counter("eyebright_heads_refused", "Connections that brought no whole head", ("status",), self._heads)
        yield _counter("eyebright_reloads", "Models loaded again", ("model", "outcome"), self._reloads)
        seconds = HistogramMetricFamily(
            "eyebright_request_seconds", "From a request's head to its answer's end", labels=["dialect"]
        )
        for dialect, histogram in self._seconds.items():
            seconds.add_metric([dialect], histogram.buckets(), histogram.sum)
        yield seconds


class _Histogram:
    """How many requests took up to so many seconds."""

    def __init__(self) -> None:
        self._counts = [0] * (len(SECONDS) + 1)
        self.sum = 0.0

    def observe(self, seconds: float) -> None:
        self._counts[bisect.bisect_left(SECONDS, seconds)] += 1
        self.sum += seconds

    def buckets(self) -> list[tuple[str, float]]:
        """Prometheus' buckets: their upper edges, and how many are at or below each."""
        edges = [*map(str, SECONDS), "+Inf"]
        return [(edge, float(sum(self._counts[: place + 1]))) for place, edge in enumerate(edges)]


class _Collected(Collector):
    """Families that are made when they are asked for."""

    def __init__(self, collect: Callable[[], Iterable[Metric]]) -> None:
        self._collect = collect

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterable[Metric]:
        return self._collect()


def _of_the_desk(desk: Shown, gate: Gate) -> Iterator[Metric]:
    """What the desk is and does at this moment. Queues: "pictures", and "heat maps", which have a thread of their own."""
    yield GaugeMetricFamily("eyebright_ready", "Whether predictions are answered", value=desk.ready and not gate.stopping)
    yield GaugeMetricFamily("eyebright_requests_under_way", "Requests without a whole answer", value=gate.under_way)
    yield GaugeMetricFamily("eyebright_body_bytes", "Bytes of bodies held in memory", value=gate.held_bytes)
    info = GaugeMetricFamily("eyebright_model_info", "The models served", labels=["model", "sha256", "form"])
    for about in map(desk.about, desk.names):
        info.add_metric([about.name, about.sha256, about.form], 1)
    yield info
    yield from _queues({"pictures": desk.load, "heat maps": desk.explaining})


def _queues(loads: Mapping[str, Load]) -> Iterator[Metric]:
    labels = ("queue",)
    yield _gauge(
        "eyebright_queue_length", "Pictures that nobody has begun", {name: load.waiting for name, load in loads.items()}
    )
    yield _gauge("eyebright_queue_working", "Pictures in work", {name: load.working for name, load in loads.items()})
    batches: dict[_Labels, int] = {(name,): load.batches for name, load in loads.items()}
    yield _counter("eyebright_batches", "Calls of a model; pictures answered over these is the batch", labels, batches)
    left: dict[_Labels, int] = {(name, outcome): getattr(load, outcome) for name, load in loads.items() for outcome in OUTCOMES}
    yield _counter("eyebright_pictures", "Pictures that left the queue, or never got in", (*labels, "outcome"), left)


def _gauge(name: str, about: str, values: Mapping[str, int]) -> Metric:
    family = GaugeMetricFamily(name, about, labels=["queue"])
    for label, value in values.items():
        family.add_metric([label], value)
    return family


def _counter(name: str, about: str, labels: _Labels, values: Mapping[_Labels, int]) -> Metric:
    family = CounterMetricFamily(name, about, labels=labels)
    for given, value in values.items():
        family.add_metric(given, value)
    return family


def _query_model(query: bytes) -> str | None:
    if b"model=" not in query:
        return None
    return next(iter(urllib.parse.parse_qs(query.decode("latin-1")).get("model", ())), None)
