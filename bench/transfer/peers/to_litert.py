"""The peers' network with a linear head as a .tflite file, in float32:  python to_litert.py OUT"""

import sys

import torch
from backbone import backbone
from torch import nn

CLASSES = 1000


def main(out):
    import litert_torch  # not before the backbone, which declares what torchvision's build lacks

    network = nn.Sequential(backbone(), nn.Linear(1280, CLASSES)).eval()
    litert_torch.convert(network, (torch.zeros(1, 3, 224, 224),)).export(out)


if __name__ == "__main__":
    main(*sys.argv[1:])
