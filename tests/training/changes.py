"""Pictures to change, and a way to fix what is drawn."""

import numpy as np
import pytest
import torch

from eyebright.core import seeds
from eyebright.training.augment import augmented

MIDDLE = 0.5  # a draw that changes nothing where limits go both ways


def noise(n=6, height=12, width=16, seed=0):
    return torch.rand(n, 3, height, width, generator=torch.Generator().manual_seed(seed))


def photograph(height=96, width=128):
    """One smooth picture with edges, [1, 3, height, width]."""
    from skimage import data
    from skimage.transform import resize

    picture = resize(data.astronaut()[:256, 60:401], (height, width), anti_aliasing=True)
    return torch.from_numpy(picture.astype(np.float32)).permute(2, 0, 1)[None].contiguous()


def hashes_of(n):
    return seeds.key_hashes([f"{row}.png" for row in range(n)])


def changed(pixels, augment, *, seed=0, epoch=0):
    return augmented(pixels, hashes_of(len(pixels)), augment, seed=seed, epoch=epoch)


@pytest.fixture
def draws(monkeypatch):
    """``draws(shear=[1.0])`` fixes the numbers of a stream for every picture; streams that are not named change nothing."""

    def fix(**streams):
        def uniform(seed, stream, epoch, hashes, columns):
            numbers = streams.get(stream.removeprefix("augment-"), [MIDDLE] * columns)
            assert len(numbers) == columns
            return np.tile(np.array(numbers, dtype=np.float32), (len(hashes), 1))

        monkeypatch.setattr(seeds, "uniform", uniform)

    return fix
