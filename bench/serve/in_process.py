"""The same model in this process, decoding included:  python -m bench.serve.in_process BUNDLE SECONDS PICTURE...

Two ways to use the cores, the better one counts: one picture after the other with all cores inside the network, and a thread a
core, each with a picture of its own and a network of one thread. What a server adds to it is HTTP, and the client beside it.
"""

import json
import sys
import threading
import time
from pathlib import Path

import numpy as np

from eyebright.backends.onnx_ import OnnxPredictor
from eyebright.core.bundle import Bundle
from eyebright.core.events import silent
from eyebright.core.machine import usable_cores
from eyebright.images.decode import decode
from eyebright.images.preprocess import prepare, to_pixels
from eyebright.verbs.making.imagenet import open_bundle


def answered(bundle: Bundle, threads: int, pictures: list[bytes], until: float, counts: list[int]) -> None:
    """Answers picture after picture until the time is up."""
    preprocess, decision = bundle.manifest.preprocess, bundle.decision()
    predictor = OnnxPredictor(bundle.form_file("onnx"), bundle.manifest.classes, threads=threads)
    done = 0
    while time.perf_counter() < until:
        picture = prepare(decode(pictures[done % len(pictures)], colour=preprocess.colour).picture, preprocess)
        decision.probabilities(predictor(to_pixels(picture[np.newaxis])).logits)
        done += 1
    counts.append(done)


def rate(bundle: Bundle, workers: int, threads: int, pictures: list[bytes], seconds: float) -> float:
    """Pictures a second, with ``workers`` threads that have ``threads`` each inside the network."""
    counts: list[int] = []
    started = time.perf_counter()
    arguments = (bundle, threads, pictures, started + seconds, counts)
    crew = [threading.Thread(target=answered, args=arguments) for _ in range(workers)]
    for one in crew:
        one.start()
    for one in crew:
        one.join()
    return sum(counts) / (time.perf_counter() - started)


def main() -> None:
    name, seconds, *files = sys.argv[1:]
    bundle = open_bundle(name, silent)
    pictures = [Path(file).read_bytes() for file in files]
    cores = usable_cores()
    rates = {
        "one after the other": rate(bundle, 1, cores, pictures, float(seconds)),
        "a thread a core": rate(bundle, cores, 1, pictures, float(seconds)),
    }
    print(json.dumps({way: round(found, 2) for way, found in rates.items()}))


if __name__ == "__main__":
    main()
