"""The record's recipe as it would be ported to a processor:  python port.py DATA.npz SEED STEPS [LAST]

airbench94_muon (github.com/KellerJordan/cifar10-airbench; facts from there, code our own): eager torch, bfloat16 by autocast,
channels last, memory as torch has it. STEPS is how many steps the schedule has (200 is the record's); LAST ends after so many,
to time a segment. Prints one line of JSON: seconds a step (median), seconds in all with the views, and the test accuracy.
"""

import json
import statistics
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

BATCH = 2000
MEAN, STD = (torch.tensor(v).view(1, 3, 1, 1) for v in ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)))
WIDTHS = (64, 256, 256)
LAST_LAYOUT = torch.channels_last


def conv(channels: int, out: int) -> nn.Conv2d:
    layer = nn.Conv2d(channels, out, 3, padding="same", bias=False)
    nn.init.dirac_(layer.weight.data[:channels])
    return layer


def norm(channels: int) -> nn.BatchNorm2d:
    layer = nn.BatchNorm2d(channels, eps=1e-12, momentum=0.4)
    layer.weight.requires_grad = False
    return layer


def group(channels: int, out: int) -> list[nn.Module]:
    return [conv(channels, out), nn.MaxPool2d(2), norm(out), nn.GELU(), conv(out, out), norm(out), nn.GELU()]


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.whitening = nn.Conv2d(3, 24, 2)
        self.whitening.weight.requires_grad = False
        first, second, third = WIDTHS
        layers = [nn.GELU(), *group(24, first), *group(first, second), *group(second, third), nn.MaxPool2d(3)]
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(third, 10, bias=False)
        self.head.weight.data.div_(self.head.weight.data.std())

    @torch.no_grad()
    def whiten(self, pictures: Tensor) -> None:
        patches = pictures.unfold(2, 2, 1).unfold(3, 2, 1).permute(0, 2, 3, 1, 4, 5).reshape(-1, 12).double()
        values, vectors = torch.linalg.eigh(patches.T @ patches / len(patches))
        filters = (vectors / torch.sqrt(values + 5e-4)).T.reshape(12, 3, 2, 2).float()
        self.whitening.weight.copy_(torch.cat([filters, -filters]))
        self.whitening.bias.zero_()

    def forward(self, x: Tensor, learn_whitening: bool = True) -> Tensor:
        bias = self.whitening.bias
        x = F.conv2d(x, self.whitening.weight, bias if learn_whitening else bias.detach())
        x = self.layers(x).flatten(1)
        return self.head(x) / x.shape[1]


def orthogonalised(gradient: Tensor) -> Tensor:
    x = gradient.reshape(len(gradient), -1).bfloat16()
    x = x / (x.norm() + 1e-7)
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    for _ in range(3):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return (x.T if tall else x).reshape(gradient.shape).to(gradient.dtype)


class Muon:
    def __init__(self, filters: list[nn.Parameter]) -> None:
        self.filters, self.moments = filters, [torch.zeros_like(weight) for weight in filters]

    @torch.no_grad()
    def step(self, rate: float) -> None:
        for weight, moment in zip(self.filters, self.moments, strict=True):
            assert weight.grad is not None
            moment.mul_(0.6).add_(weight.grad)
            move = weight.grad.add(moment, alpha=0.6)
            weight.mul_(len(weight) ** 0.5 / weight.norm())
            weight.add_(orthogonalised(move), alpha=-rate)


def epoch(pictures: Tensor, number: int) -> Tensor:
    """All pictures moved by up to two pixels, and flipped where the epoch is odd."""
    padded = F.pad(pictures, (2, 2, 2, 2), "reflect")
    moves = torch.randint(-2, 3, (len(pictures), 2))
    out = torch.empty_like(pictures)
    for down in range(-2, 3):
        for right in range(-2, 3):
            chosen = ((moves[:, 0] == down) & (moves[:, 1] == right)).nonzero()[:, 0]
            out[chosen] = padded[chosen][:, :, 2 + down : 34 + down, 2 + right : 34 + right]
    return out.flip(3) if number % 2 else out


@torch.no_grad()
def views(network: Network, x: Tensor) -> Tensor:
    def both(x: Tensor) -> Tensor:
        return 0.5 * network(x).float() + 0.5 * network(x.flip(3)).float()

    padded = F.pad(x, (1, 1, 1, 1), "reflect")
    moved = [padded[:, :, place : place + 32, place : place + 32].contiguous(memory_format=LAST_LAYOUT) for place in (0, 2)]
    return 0.5 * both(x) + 0.25 * both(moved[0]) + 0.25 * both(moved[1])


def main(file: str, seed: int, steps: int, last: int) -> dict[str, float]:
    data = np.load(file)
    pictures, test = ((torch.from_numpy(data[f"x_{part}"]).float() / 255 - MEAN) / STD for part in ("train", "test"))
    labels = torch.from_numpy(data["y_train"])
    started = time.perf_counter()
    torch.manual_seed(seed)
    network = Network().to(memory_format=LAST_LAYOUT)
    network.whiten(pictures[:5000])
    pictures = torch.where((torch.rand(len(pictures)) < 0.5).view(-1, 1, 1, 1), pictures.flip(3), pictures)
    filters = [weight for weight in network.parameters() if weight.ndim == 4 and weight.requires_grad]
    biases = [weight for name, weight in network.layers.named_parameters() if name.endswith("bias")]
    decay, rates = 2e-6 * BATCH, (0.053, 0.053, 0.67)
    parts = ([network.whitening.bias], biases, [network.head.weight])
    groups = [{"params": part, "lr": rate, "weight_decay": decay / rate} for part, rate in zip(parts, rates, strict=True)]
    others = torch.optim.SGD(groups, momentum=0.85, nesterov=True)
    muon = Muon(filters)
    times: list[float] = []
    an_epoch = len(pictures) // BATCH
    whitening_steps = 3 * an_epoch
    for step in range(min(steps, last)):
        began = time.perf_counter()
        if step % an_epoch == 0:
            shown, order = epoch(pictures, step // an_epoch), torch.randperm(len(pictures))
        rows = order[step % an_epoch * BATCH :][:BATCH]
        left = 1 - step / steps
        for part, rate, share in zip(others.param_groups, rates, (max(0, 1 - step / whitening_steps), left, left), strict=True):
            part["lr"] = rate * share
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(shown[rows].contiguous(memory_format=LAST_LAYOUT), learn_whitening=step < whitening_steps)
        loss = F.cross_entropy(logits.float(), labels[rows], label_smoothing=0.2, reduction="sum")
        others.zero_grad()
        network.zero_grad()
        loss.backward()
        others.step()
        muon.step(0.24 * left)
        times.append(time.perf_counter() - began)
        print(step + 1, f"{loss.item() / BATCH:.4f}", file=sys.stderr, flush=True)
    found = {"step_seconds": statistics.median(times), "steps": len(times)}
    if last < steps:
        return found
    network.eval()
    with torch.autocast("cpu", torch.bfloat16):
        pieces = [piece.contiguous(memory_format=LAST_LAYOUT) for piece in test.split(BATCH)]
        logits = torch.cat([views(network, piece) for piece in pieces])
    right = int((logits.argmax(dim=1) == torch.from_numpy(data["y_test"])).sum())
    return {**found, "seconds": time.perf_counter() - started, "right": right, "n": len(test)}


if __name__ == "__main__":
    name, seed, steps, *rest = sys.argv[1:]
    print(json.dumps(main(name, int(seed), int(steps), int(rest[0]) if rest else int(steps))))
