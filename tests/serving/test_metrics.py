"""Figures for Prometheus: right, and of a size that no client decides."""

import pytest
from pictures import jpeg
from prometheus_client.parser import text_string_to_metric_families

from eyebright.serving.batching import Load
from eyebright.serving.desk import Desk
from eyebright.serving.metrics import SECONDS
from eyebright.serving.options import Options
from eyebright.serving.shelf import open_shelf

from .desks import write_bundle
from .server import QUICK, Client, EmptyDesk, echo_length, route, running


def samples(server):
    """Every sample as (name, labels) to value, as a Prometheus server would read it."""
    return samples_with(server)


def samples_with(server, **headers):
    text = server.request("GET", "/metrics", **headers)[2].decode()
    families = text_string_to_metric_families(text)
    return {(one.name, tuple(sorted(one.labels.items()))): one.value for family in families for one in family.samples}


def requests(server):
    return {labels: value for (name, labels), value in samples(server).items() if name == "eyebright_requests_total"}


def test_requests_are_counted_by_dialect_model_and_status():
    with running(EmptyDesk(names=("cats", "dogs"))) as server:
        assert server.request("POST", "/api/predict", b"picture")[0] == 200
        assert server.request("POST", "/api/predict?model=dogs&top_k=1", b"picture")[0] == 200
        assert server.request("GET", "/api/models/dogs")[0] == 200
        assert server.request("POST", "/predictions/dogs", b"picture")[0] == 200
        assert server.request("GET", "/health/live")[0] == 200
        counted = requests(server)
    label = lambda dialect, model, status: (("dialect", dialect), ("model", model), ("status", str(status)))  # noqa: E731
    assert counted == {
        label("ours", "cats", 200): 1,
        label("ours", "dogs", 200): 2,
        label("torchserve", "dogs", 200): 1,
        label("health", "", 200): 1,
    }


def test_what_is_refused_before_it_reaches_a_model_is_not_counted_for_the_first_one():
    options = Options(deadlines=QUICK, token="0123456789abcdef")
    with running(EmptyDesk(names=("cats", "dogs")), options) as server:
        assert server.request("POST", "/api/predict", b"picture")[0] == 401
        assert server.request("POST", "/api/models/dogs/reload")[0] == 401
        found = samples_with(server, authorization="Bearer 0123456789abcdef")
    assert {dict(labels)["model"] for name, labels in found if name == "eyebright_requests_total"} == {""}
    assert not [name for name, _ in found if name == "eyebright_reloads_total"]


def test_no_client_makes_the_labels_grow():
    with running() as server, Client(server.address) as client:
        for number in range(50):
            for path in (
                f"/api/models/m{number}",
                f"/predictions/m{number}",
                f"/v2/models/m{number}",
                f"/x{number}",
                f"/page/{number}",
            ):
                client.ask("GET", path)
                client.answer()
            client.ask("POST", f"/api/predict?model=m{number}", b"x", x_request_id=f"id-{number}")
            client.answer()
        counted = requests(server)
    assert {dict(labels)["model"] for labels in counted} <= {"", "other", "toy"}
    assert len(counted) <= 12


def test_the_histogram_holds_every_request_in_rising_buckets():
    with running(routers=route(echo_length)) as server:
        for _ in range(5):
            server.request("POST", "/api/predict", b"x")
        found = samples(server)
    buckets = [
        (dict(labels)["le"], value)
        for (name, labels), value in found.items()
        if name == "eyebright_request_seconds_bucket" and dict(labels)["dialect"] == "ours"
    ]
    values = [value for _, value in buckets]
    assert [edge for edge, _ in buckets] == [*map(str, SECONDS), "+Inf"]
    assert values == sorted(values)
    assert values[-1] == found["eyebright_request_seconds_count", (("dialect", "ours"),)] == 5
    assert 0 < found["eyebright_request_seconds_sum", (("dialect", "ours"),)] < 5


def test_what_the_desk_does_is_read_off_it():
    class Busy(EmptyDesk):
        load = Load(waiting=3, working=2, answered=10, failed=1, refused=4, withdrawn=5, batches=6, seconds_each=0.01)

    with running(Busy()) as server:
        found = samples(server)
    pictures = (("queue", "pictures"),)
    assert found["eyebright_queue_length", pictures] == 3
    assert found["eyebright_queue_working", pictures] == 2
    assert found["eyebright_batches_total", pictures] == 6
    outcomes = {
        dict(labels)["outcome"]: value
        for (name, labels), value in found.items()
        if name == "eyebright_pictures_total" and pictures[0] in labels
    }
    assert outcomes == {"answered": 10, "failed": 1, "refused": 4, "withdrawn": 5}
    assert found["eyebright_ready", ()] == 1
    assert found["eyebright_requests_under_way", ()] == 1  # this very one
    assert found["process_resident_memory_bytes", ()] > 1e6


def test_reloads_are_counted_by_what_came_of_them():
    with running(EmptyDesk(names=("cats",))) as server:
        assert server.request("POST", "/api/models/cats/reload")[0] == 200
        assert server.request("POST", "/api/models/cats/reload", b"", origin="http://evil.example")[0] == 403
        found = samples(server)
    assert found["eyebright_reloads_total", (("model", "cats"), ("outcome", "done"))] == 1
    assert found["eyebright_model_info", (("form", "onnx"), ("model", "cats"), ("sha256", "0" * 64))] == 1


@pytest.mark.parametrize("count", [1, 3])
def test_pictures_asked_of_a_real_desk_are_counted(tmp_path, count):
    desk = Desk(open_shelf([str(write_bundle(tmp_path / "animals"))]), workers=1)
    with running(desk) as server:
        for _ in range(count):
            assert server.request("POST", "/api/predict", jpeg())[0] == 200
        found = samples(server)
    assert found["eyebright_pictures_total", (("outcome", "answered"), ("queue", "pictures"))] == count
