"""One picture at a time: ours beside the runtimes' own benchmarks, of the same network, precision and threads, in turns.

ONNX Runtime's own program does not come with its package; a bare loop over its session, inputs and outputs bound, is its row.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.peers import python_of
from eyebright.core.machine import usable_cores
from eyebright.verbs.making.imagenet import open_bundle

PEERS = Path(__file__).parent / "peers"
ROUNDS, SECONDS = 5, 4
RUNS = 500  # calls of LiteRT's tool, which is told how many, not how long


def latency() -> list[dict[str, Any]]:
    """Median and 99th percentile of a call in milliseconds, ``ROUNDS`` rounds of each way: EfficientNet-Lite0, 224 px, fp32."""
    bundle = open_bundle("imagenet", lambda event: None)
    graph, threads = bundle.form_file("onnx"), str(usable_cores())
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as aside:
        litert = str(Path(aside, "model.tflite"))
        said([python_of("litert", PEERS / "litert.txt"), str(PEERS / "to_litert.py"), litert])
        for number in range(ROUNDS):
            load = os.getloadavg()[0]
            found = {
                **_ours(str(bundle.path)),
                "ONNX Runtime, a bare loop": _bare(str(graph), threads),
                "OpenVINO's benchmark_app": _openvino(str(graph), threads),
                "LiteRT's benchmark_litert_model": _litert(litert, threads, aside),
            }
            rows += [{"round": number, "load": load, "way": way, **times} for way, times in found.items()]
            print(*rows[-len(found) :], sep="\n", flush=True)
    return rows


def said(command: list[str]) -> str:
    """What ``command`` prints."""
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def _bare(graph: str, threads: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(said([sys.executable, str(PEERS / "bare.py"), graph, threads, str(SECONDS)]))
    return found


def _ours(bundle: str) -> dict[str, dict[str, Any]]:
    """Each form of the bundle by ``eyebright benchmark``."""
    seconds = str(2 * SECONDS)  # half of them at batch 1
    text = said([sys.executable, "-m", "eyebright", "benchmark", bundle, "--batch", "16", "--seconds", seconds, "--json"])
    forms = json.loads(text)["forms"]
    return {
        f"eyebright, {form['form']}": {"p50_ms": form["p50_ms"], "p99_ms": form["p99_ms"]}
        for form in forms
        if form["state"] == "ok"
    }


def _openvino(graph: str, threads: str) -> dict[str, Any]:
    app = Path(sys.executable).with_name("benchmark_app")
    options = ["-d", "CPU", "-api", "sync", "-hint", "none", "-nstreams", "1", "-nthreads", threads]
    text = said([str(app), "-m", graph, *options, "-infer_precision", "f32", "-shape", "[1,3,224,224]", "-t", str(SECONDS)])
    found = re.search(r"Median:\s*([\d.]+) ms", text)
    assert found, text
    return {"p50_ms": float(found[1]), "p99_ms": None}  # the tools tell other percentiles


def _litert(model: str, threads: str, aside: str) -> dict[str, Any]:
    file = Path(aside, "litert.json")
    command = [sys.executable, "-m", "ai_edge_litert.tools.benchmark_litert_model", "--model", model, "--num_threads", threads]
    subprocess.run(
        [*command, "--num_runs", str(RUNS), "--result_json", str(file)],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    found = json.loads(file.read_text())
    return {"p50_ms": found["latency"]["median_ms"], "p99_ms": None}
