"""Usual loading: a folder of JPEG files to float batches at 224 pixels by torch's DataLoader, two workers.

    python loader.py FOLDER pillow|torchvision [WORKERS]

Prints the seconds from making the loader to its last batch, imports left out. Pillow decodes and resizes as torchvision's
reference training does; torchvision decodes with its own libjpeg and resizes tensors: null where its extension does not suit
this torch.
"""

import json
import sys
import time
from pathlib import Path

import operators  # noqa: F401  # isort: split
import torch
import torchvision.io
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import InterpolationMode, v2

SIDE, BATCH = 224, 64


class Folder(Dataset):
    def __init__(self, folder, kind):
        self.files = sorted(Path(folder).rglob("*.jpg"))
        self.kind = kind
        resize = v2.Resize((SIDE, SIDE), interpolation=InterpolationMode.BICUBIC, antialias=True)
        to_float = v2.ToDtype(torch.float32, scale=True)
        self.prepare = v2.Compose([v2.ToImage(), to_float] if kind == "pillow" else [resize, to_float])
        self.resize = resize

    def __len__(self):
        return len(self.files)

    def __getitem__(self, row):
        if self.kind == "pillow":
            return self.prepare(self.resize(Image.open(self.files[row]).convert("RGB")))
        return self.prepare(torchvision.io.decode_jpeg(torchvision.io.read_file(str(self.files[row])), mode="RGB"))


def main(folder, kind, workers="2"):
    data = Folder(folder, kind)
    try:
        data[0]
    except RuntimeError as error:
        print(error, file=sys.stderr)
        print(json.dumps({"seconds": None}))
        return
    started = time.perf_counter()
    pictures = sum(len(batch) for batch in DataLoader(data, batch_size=BATCH, num_workers=int(workers)))
    print(json.dumps({"seconds": time.perf_counter() - started, "pictures": pictures}))


if __name__ == "__main__":
    main(*sys.argv[1:])
