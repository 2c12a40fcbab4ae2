"""Changes to training pictures, on whole batches of tensors, drawn by counter: the same picture in the same epoch is always
changed in the same way, whatever the order, the batch or the number of workers.

``values``    how far each change may go, and ``light``, ``medium``, ``strong``
``draws``     the numbers that decide, a stream an operation
``geometry``  all that moves pixels, in one resampling; ``colour``: all that changes them, in one product
``camera``    blur and noise; ``jpeg``: compression; ``erasing``: plain rectangles
``mixing``    Mixup and CutMix, which change the targets too
``batch``     the changes in their order
"""

from eyebright.training.augment.batch import augmented, shrunk, thumbnails, to_batch
from eyebright.training.augment.mixing import mixed
from eyebright.training.augment.values import AMOUNTS, DIALS, OFF, Augment, dial

__all__ = ["AMOUNTS", "DIALS", "OFF", "Augment", "augmented", "dial", "mixed", "shrunk", "thumbnails", "to_batch"]
