"""docs/models.md from the gallery's results: the page holds no figure that is not in them."""

from collections.abc import Mapping, Sequence
from typing import Any

HEAD = """# Models

*Written by `python -m bench.gallery` from `gallery.json` and `gallery-accuracy.json` in `bench/results`. Edit the script, not
the page.*

## Which to take

**Leave `--model auto`**, which says what it took and why: `lite0` for photographs, `speed` for pictures of 32 pixels and less,
and between 33 and 64 pixels the better of the two on the validation part.

- **`lite0`** has learned from a million photographs already, its weights are installed with eyebright, and a head on its
  features is trained in minutes on two cores. A few dozen pictures a class are enough to begin with.
- **`speed`** learns from nothing, and sooner than any other: for digits, icons and other small pictures. Of few, `auto` trains
  `cnn` beside it and keeps the better one.
- **`lenet` and `mlp`** are for lessons, and for asking what more layers, or convolutions, are worth on your pictures.
- **`mobilenetv2`, `mobilenetv3_small`, `mobilenetv3_large`, `squeezenet1_1`, `efficientnet_b0`, `vit_tiny` and `deit_tiny`**
  can be trained without a GPU, at a small `--size` and with patience.
- **All others want a GPU to be trained**, and much memory for the older ones: most of AlexNet's and VGG's parameters are in two
  dense layers. Without a GPU, train a head alone on them: `--unfreeze head`.

From scratch (`--weights none`) these networks want tens of thousands of pictures, and ViT more than that: it has to learn what
a convolution is given, that neighbouring pixels belong together. With fewer pictures begin from pretrained weights: `--weights
auto` fetches the publisher's over the network, `--weights FILE` reads a file that you have, and `lite0` needs neither.

Any other network of timm and torchvision is trained in the same way, as `--model timm:NAME` or `--model torchvision:NAME`;
`eyebright models --like NAME` finds them. A bundle keeps the full name, never the short one.

```text
eyebright train photos --model resnet50 --weights resnet50.safetensors
```
"""

NOTES = """
Multiply-adds are of convolutions, dense layers and attention, for one picture at the size given; published figures called
FLOPs are sometimes these, sometimes twice these. GoogLeNet and Inception v3 are without their auxiliary classifiers, which
serve training only and are left out here. ViT-Ti and DeiT-Ti are one network, as are ViT-S and DeiT-S: their papers differ in
how they train it. SqueezeNet's last convolution comes after the pooling here, which gives it features and spares 86 million
multiply-adds.
"""


def page(entries: Sequence[Mapping[str, Any]], costs: Mapping[str, Any], accuracy: Mapping[str, Any]) -> str:
    """The whole page as Markdown. A figure that was not measured is left empty."""
    made = {entry["name"]: entry for entry in entries}
    groups = [
        ("For small pictures, with 10 classes", [name for name, entry in made.items() if entry["classes"] == 10]),
        ("For photographs, with ImageNet's 1,000 classes", [name for name, entry in made.items() if entry["classes"] > 10]),
    ]
    parts = [HEAD, "\n## What each costs\n", _costs_caption(costs)]
    for title, names in groups:
        rows = [_cost_row(made[name], costs["rows"].get(name, {})) for name in names]
        parts.append(f"\n### {title}\n\n{_table(COST_HEADS, rows)}")
    parts.append(NOTES)
    learned = {name: accuracy["rows"][name] for name in made if name in accuracy["rows"]}
    if learned:
        parts += ["\n## How quickly each learns\n", _accuracy_caption(accuracy, learned)]
        ranked = sorted(learned, key=lambda name: -learned[name]["accuracy"])
        parts.append("\n" + _table(ACCURACY_HEADS, [_accuracy_row(made[name], learned[name]) for name in ranked]))
    parts += ["\n## Where they come from\n\n", _table(SOURCE_HEADS, [_source_row(entry) for entry in entries])]
    return "".join(parts)


COST_HEADS = (
    "`--model`",
    "network",
    "pixels",
    "parameters",
    "multiply-adds",
    "ONNX",
    "one picture: median",
    "99 of 100 within",
)
ACCURACY_HEADS = ("`--model`", "validation accuracy", "95 % interval", "pixels", "steps", "epochs")
SOURCE_HEADS = ("`--model`", "full name", "network", "paper")


def _costs_caption(costs: Mapping[str, Any]) -> str:
    if "machine" not in costs:
        return "\nParameters and multiply-adds; latency has not been measured yet.\n"
    versions = ", ".join(f"{package} {_version(costs, package)}" for package in ("onnxruntime", "torch", "timm", "torchvision"))
    return (
        f"\nLatency of the ONNX form for one picture, decoding left out, in {costs['threads']} threads on {costs['machine']}.\n"
        f"({versions}.) Weights are initial ones: the time does not depend on them.\n"
    )


def _accuracy_caption(accuracy: Mapping[str, Any], learned: Mapping[str, Mapping[str, Any]]) -> str:
    row = next(iter(learned.values()))
    seconds = " or ".join(sorted({f"{each['seconds']:g}" for each in learned.values()}))
    return (
        f"\nFrom initial weights, {seconds} seconds of training in {accuracy['threads']} threads on {accuracy['machine']}.\n"
        f"{accuracy['train']:,} pictures of CIFAR-10's train part, accuracy on {row['n']:,} others of it, Wilson's interval, "
        f"one seed.\nAdam, batches of {accuracy['batch']}, highest rate {accuracy['rate']:g}, mirrored copies: "
        "the same for all, tuned for none.\n\n**This says how quickly a network learns on a small machine, not how good it is "
        "in the end**: a large one has hardly begun after\nso few steps.\n"
    )


def _version(results: Mapping[str, Any], package: str) -> str:
    return str(results["environment"]["versions"].get(package, "of unknown version"))


def _cost_row(entry: Mapping[str, Any], row: Mapping[str, Any]) -> tuple[str, ...]:
    latency = row.get("latency", {})
    return (
        f"`{entry['name']}`",
        entry["called"],
        str(entry["size"]),
        _large(row.get("parameters")),
        _large(row.get("multiply_adds")),
        f"{row['megabytes']:,.1f} MB" if "megabytes" in row else "",
        f"{latency['median_ms']:.3g} ms" if latency else "",
        f"{latency['p99_ms']:.3g} ms" if latency else "",
    )


def _accuracy_row(entry: Mapping[str, Any], row: Mapping[str, Any]) -> tuple[str, ...]:
    interval = f"{row['low']:.3f} to {row['high']:.3f}"
    return (
        f"`{entry['name']}`",
        f"{row['accuracy']:.3f}",
        interval,
        str(row["size"]),
        f"{row['steps']:,}",
        f"{row['epochs']:.1f}",
    )


def _source_row(entry: Mapping[str, Any]) -> tuple[str, ...]:
    return (f"`{entry['name']}`", f"`{entry['network']}`", entry["called"], entry["source"])


def _large(number: int | None) -> str:
    """A count in thousands, millions or thousands of millions, with three figures.

    >>> _large(60_850), _large(25_557_032), _large(4_089_184_256), _large(None)
    ('60.9 k', '25.6 M', '4.09 G', '')
    """
    if number is None:
        return ""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            scaled = number / size
            return f"{scaled:.{2 if scaled < 10 else 1 if scaled < 100 else 0}f} {unit}"
    return str(number)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
