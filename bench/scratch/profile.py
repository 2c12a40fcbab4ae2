"""Where a step of ``speed`` spends its time, and how far that is from the arithmetic alone:  python -m bench.scratch.profile

Medians over steps of the recipe at each side. ``arithmetic`` is what the convolutions' operations would take at the best rate
that any convolution of this network reaches here (oneDNN, forward); nothing can be quicker with the same operations.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import numpy as np
import torch
import torch.nn.functional as F

from bench.scratch import ours
from bench.scratch.ours import Parts, Way
from eyebright.core.memory import keep_memory
from eyebright.models.speed import fused, kernels, weight_gradient
from eyebright.training.augment import to_batch
from eyebright.training.sampling import Draws
from eyebright.training.step import Stepper

WARM, MEASURED = 2, 5  # steps
KERNELS = {
    "pool_and_sums": "pooling",
    "plain_sums": "batch norm",
    "activate": "activation",
    "activation_gradient": "activation, backward",
    "norm_gradient": "batch norm, backward",
    "norm_gradient_unpooled": "pooling and batch norm, backward",
    "side_by_side": "pictures put side by side",
}


class Clock:
    """Seconds by name, of the step that is running."""

    def __init__(self) -> None:
        self.step: dict[str, float] = {}

    def wrapped(self, function: Callable[..., Any], name: str) -> Callable[..., Any]:
        def timed(*arguments: Any, **named: Any) -> Any:
            started = time.perf_counter()
            result = function(*arguments, **named)
            self.step[name] = self.step.get(name, 0.0) + time.perf_counter() - started
            return result

        return timed


@contextmanager
def watched(clock: Clock, stepper: Stepper) -> Iterator[None]:
    """Within, the parts of a step are timed."""
    places = [
        (stepper, "_batch", "pictures drawn, moved, as pixels"),
        (stepper.optimiser, "step", "optimiser"),
        (fused.F, "conv2d", "convolutions, forward"),
        (fused, "input_gradient", "convolutions, by the input"),
        (weight_gradient, "_backward", "convolutions, by the weights"),
        *((kernels, name, said) for name, said in KERNELS.items()),
    ]
    with ExitStack() as stack:
        for owner, name, said in places:
            stack.enter_context(mock.patch.object(owner, name, clock.wrapped(getattr(owner, name), said)))
        yield


def profile(parts: Parts, way: Way, side: int) -> dict[str, Any]:
    """Milliseconds by name, the whole step, and the operations of its convolutions."""
    recipe, _ = ours.recipe_of(parts, way, 0)
    network = ours.network_of(parts, way, 0)
    network.begin(to_batch(parts.train.pictures[:2000]))
    stepper, clock = Stepper(network, parts.train, recipe), Clock()
    stepper.set_training()
    operations = 0

    def counted(x: torch.Tensor, weight: torch.Tensor, *_: Any, **__: Any) -> None:
        nonlocal operations
        out_places = (x.shape[2] - (weight.shape[2] == 2)) * (x.shape[3] - (weight.shape[3] == 2))
        passes = 1 if weight.shape[1] == 3 else 2 if weight.shape[1] == 24 else 3  # the whitening learns nothing
        operations += passes * 2 * len(x) * out_places * weight.numel()

    rows = []
    with watched(clock, stepper):
        for number in range(WARM + MEASURED):
            chosen = np.arange(number * recipe.batch_size, (number + 1) * recipe.batch_size)
            clock.step, started = {}, time.perf_counter()
            stepper.step(Draws(chosen, parts.train.hashes[chosen]), epoch=0, number=number, rate=1e-3, side=side)
            clock.step["whole step"] = time.perf_counter() - started
            rows.append(clock.step)
    convolution = F.conv2d
    with mock.patch.object(fused.F, "conv2d", lambda *a, **k: (counted(*a, **k), convolution(*a, **k))[1]):
        stepper.step(Draws(chosen, parts.train.hashes[chosen]), epoch=0, number=0, rate=1e-3, side=side)
    found = {name: 1000 * statistics.median(row.get(name, 0.0) for row in rows[WARM:]) for name in rows[-1]}
    # Both gradients call one function; copying pictures side by side has a row of its own.
    found["convolutions, by the weights"] -= found["convolutions, by the input"]
    return {"side": side, "batch": recipe.batch_size, "milliseconds": found, "operations": operations}


def best_rate(batch: int, side: int) -> float:
    """The most operations a second that a convolution of ``standard`` reaches forward, in bfloat16."""
    keep_memory()
    rates = []
    places = side - 1
    for channels, out in ((24, 64), (64, 64), (64, 256), (256, 256), (256, 256), (256, 256)):
        x = torch.zeros(batch, channels, places, places, dtype=torch.bfloat16).contiguous(memory_format=torch.channels_last)
        weight = torch.zeros(out, channels, 3, 3, dtype=torch.bfloat16).contiguous(memory_format=torch.channels_last)
        times = []
        for _ in range(5):
            started = time.perf_counter()
            F.conv2d(x, weight, padding=1)
            times.append(time.perf_counter() - started)
        rates.append(2 * batch * places**2 * weight.numel() / statistics.median(times))
        places = places // 2 if len(rates) % 2 else places
    return max(rates)


def main() -> list[dict[str, Any]]:
    parts = ours.load("cifar10", 32)
    way = Way("standard", 9)
    recipe, _ = ours.recipe_of(parts, way, 0)
    ours.segment(parts, way, 3)
    found = []
    for side in (*(side for _, side in recipe.sides), parts.side):
        row = profile(parts, way, side)
        row["best_rate"] = best_rate(row["batch"], side)
        row["arithmetic"] = 1000 * row["operations"] / row["best_rate"]
        found.append(row)
        rate = f"{row['operations'] / 1e12:.2f} TFLOP, best {row['best_rate'] / 1e12:.2f} TFLOP/s"
        print(f"\nside {side}, {row['batch']} pictures, {rate}")
        for name, milliseconds in sorted(row["milliseconds"].items(), key=lambda item: -item[1]):
            print(f"{milliseconds:8.1f} ms  {name}")
        print(f"{row['arithmetic']:8.1f} ms  the arithmetic alone", flush=True)
    return found


if __name__ == "__main__":
    main()
