"""ONNX Runtime with nothing around it:  python bare.py GRAPH THREADS SECONDS

Prints JSON: the median and the 99th percentile of a call with one picture, in milliseconds.
"""

import json
import sys
import time

import numpy as np
import onnxruntime


def main(graph, threads, seconds):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(threads)
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    (pixels,) = session.get_inputs()
    binding = session.io_binding()
    binding.bind_cpu_input(pixels.name, np.random.default_rng(0).random((1, *pixels.shape[1:]), dtype=np.float32))
    binding.bind_output("logits")
    for _ in range(20):
        session.run_with_iobinding(binding)
    took, until = [], time.perf_counter() + float(seconds)
    while time.perf_counter() < until:
        started = time.perf_counter()
        session.run_with_iobinding(binding)
        took.append(1000 * (time.perf_counter() - started))
    print(json.dumps({"p50_ms": float(np.median(took)), "p99_ms": float(np.quantile(took, 0.99))}))


if __name__ == "__main__":
    main(*sys.argv[1:])
