"""Traces: what a collector on this computer receives, and that without one nothing is sent or loaded."""

import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from eyebright.core.events import Note
from eyebright.serving.telemetry import traces

from .server import EmptyDesk, running

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@contextmanager
def collector():
    """A collector that keeps the spans it gets."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    spans, services = [], []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            import gzip

            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                services.append({one.key: one.value.string_value for one in resource.resource.attributes})
                spans.extend(span for scope in resource.scope_spans for span in scope.spans)
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *words):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", spans, services
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def attributes(span):
    return {one.key: one.value.string_value or one.value.int_value for one in span.attributes}


def test_each_request_is_a_span_of_its_callers_trace(monkeypatch):
    with collector() as (endpoint, spans, services):
        environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        events = []
        tracing = traces(environment, events.append)
        with running(EmptyDesk(names=("cats",)), traces=tracing) as server:
            server.request(
                "POST", "/api/predict?model=cats", b"picture", traceparent=f"00-{TRACE}-{PARENT}-01", x_request_id="mine"
            )
            server.request("GET", "/api/models/dogs?secret=1")
            lines = server.lines()
        tracing.close()
    by_name = {span.name: span for span in spans}
    predict = by_name["POST /api/predict"]
    assert predict.trace_id.hex() == TRACE == lines[0]["trace_id"]
    assert predict.parent_span_id.hex() == PARENT
    assert predict.end_time_unix_nano > predict.start_time_unix_nano
    found = attributes(predict)
    assert found["http.response.status_code"] == 200
    assert found["eyebright.model"] == "cats"
    assert found["eyebright.request_id"] == "mine"
    other = by_name["GET /api/models/{name}"]
    assert other.trace_id.hex() not in (TRACE, "0" * 32)
    assert "secret" not in str(other)
    assert services[0]["service.name"] == "eyebright"
    assert "on" in events[0].value


def test_without_a_collector_nothing_is_loaded():
    assert traces({}, pytest.fail) is None
    assert traces({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_SDK_DISABLED": "true"}, pytest.fail) is None
    code = (
        "import sys; from eyebright.serving.telemetry import traces; assert traces({}, print) is None;"
        "sys.exit(any(name.startswith('opentelemetry.sdk') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_what_cannot_be_sent_is_a_warning_with_the_remedy(monkeypatch):
    said = []
    asked = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
    assert traces({**asked, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, said.append) is None
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)  # as where it is not installed
    assert traces(asked, said.append) is None
    assert all(isinstance(note, Note) and note.level == "warning" for note in said)
    assert "http/protobuf" in said[0].text
    assert "pip install 'eyebright[telemetry]'" in said[1].text
