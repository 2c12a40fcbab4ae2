"""Traces by OpenTelemetry: a span a request, sent to the collector that ``OTEL_EXPORTER_OTLP_ENDPOINT`` names, else none.

The variables are the specification's own (``OTEL_SERVICE_NAME``, ``OTEL_EXPORTER_OTLP_HEADERS``, ``OTEL_TRACES_SAMPLER`` ...),
the attributes those of its semantic conventions for HTTP servers. A span holds no query, no header and nothing of a picture.
This is the one address that the server ever opens, and only its operator can name it.
"""

from collections.abc import Mapping
from typing import Any

from eyebright import __version__
from eyebright.core.events import Choice, Note, OnEvent
from eyebright.serving.limits import Exchange

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
FLUSH_SECONDS = 5.0  # that the last spans have to leave when the server stops


class Traces:
    """A span for each exchange; a caller's ``traceparent`` makes it part of the caller's trace."""

    def __init__(self, provider: Any) -> None:
        from opentelemetry.trace import SpanKind
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._provider, self._kind = provider, SpanKind.SERVER
        self._tracer = provider.get_tracer("eyebright.serving", __version__)
        self._propagator = TraceContextTextMapPropagator()

    def begin(self, exchange: Exchange) -> None:
        """Opens the span of a request."""
        carrier = {name: exchange.headers[name.encode()].decode("latin-1") for name in _carried(exchange.headers)}
        attributes = {"http.request.method": exchange.method, "url.path": exchange.path, "url.scheme": exchange.scope["scheme"]}
        span = self._tracer.start_span(
            exchange.method, context=self._propagator.extract(carrier), kind=self._kind, attributes=attributes
        )
        context = span.get_span_context()
        exchange.trace = span
        exchange.trace_ids = {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}

    def end(self, exchange: Exchange, model: str) -> None:
        """Closes the span with what became of the request."""
        span, route = exchange.trace, getattr(exchange.scope.get("route"), "path", None)
        if route is not None:
            span.update_name(f"{exchange.method} {route}")
            span.set_attribute("http.route", route)
        span.set_attribute("http.response.status_code", exchange.outcome)
        span.set_attribute("eyebright.request_id", exchange.request_id)
        if model:
            span.set_attribute("eyebright.model", model)
        if exchange.outcome >= 500:
            from opentelemetry.trace import Status, StatusCode

            span.set_status(Status(StatusCode.ERROR))
        span.end()

    def close(self) -> None:
        """Sends what has not been sent yet."""
        self._provider.force_flush(int(1000 * FLUSH_SECONDS))
        self._provider.shutdown()


def traces(environment: Mapping[str, str], on_event: OnEvent) -> Traces | None:
    """Traces where ``environment`` names a collector and the extra ``telemetry`` is there; None, with a word why, where not.

    Many platforms name a collector to every program they start, so a missing extra is a warning and no error.
    """
    endpoint = next((environment[name] for name in ENDPOINTS if environment.get(name)), None)
    if endpoint is None or environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    protocol = next((environment[name] for name in PROTOCOLS if environment.get(name)), "http/protobuf")
    if protocol != "http/protobuf":
        on_event(
            Note(f"No traces are sent: OTEL_EXPORTER_OTLP_PROTOCOL is {protocol!r}; 'http/protobuf' is spoken here.", "warning")
        )
        return None
    try:
        provider = _provider(environment)
    except ImportError:
        command = "pip install 'eyebright[telemetry]'"
        on_event(
            Note(f"No traces are sent: OpenTelemetry is not installed, a collector is named. Install it: {command}", "warning")
        )
        return None
    on_event(Choice("traces", "on", "OTEL_EXPORTER_OTLP_ENDPOINT names a collector"))
    return Traces(provider)


def _provider(environment: Mapping[str, str]) -> Any:
    """A provider of this server's own, so that no library's spans travel with ours."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    named = {} if environment.get("OTEL_SERVICE_NAME") else {"service.name": "eyebright"}
    provider = TracerProvider(resource=Resource.create({**named, "service.version": __version__}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


def _carried(headers: Mapping[bytes, bytes]) -> list[str]:
    return [name for name in ("traceparent", "tracestate") if name.encode() in headers]
