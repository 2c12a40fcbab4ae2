"""fastai's usual way:  python fastai_tune.py FOLDER OUT EPOCHS SEED

``FOLDER`` holds train/CLASS/*.jpg and test/CLASS/*.jpg; 15 % of train are its validation pictures. ``fine_tune(EPOCHS)`` trains
the new head for one epoch, then the whole network. Prints JSON: seconds from the start of the program to the exported model,
and the answers for the test pictures.
"""

import json
import sys
import time

STARTED = time.perf_counter()

import torch  # noqa: E402
from backbone import MEAN, STD, backbone  # noqa: E402
from fastai.vision.all import (  # noqa: E402
    ImageDataLoaders,
    Learner,
    Normalize,
    Resize,
    accuracy,
    aug_transforms,
    create_head,
    get_image_files,
    set_seed,
)
from torch import nn  # noqa: E402


class Body(nn.Module):
    """The network up to its last maps."""

    def __init__(self):
        super().__init__()
        self.network = backbone(global_pool="")

    def forward(self, x):
        return self.network(x)


def halves(model):
    """What is frozen in the first epoch, and what is not, as fastai splits a network."""
    return [list(model[0].parameters()), list(model[1].parameters())]


def main(folder, out, epochs, seed):
    set_seed(int(seed), reproducible=True)
    loaders = ImageDataLoaders.from_folder(
        f"{folder}/train",
        valid_pct=0.15,
        seed=int(seed),
        item_tfms=Resize(256),
        batch_tfms=[*aug_transforms(size=224), Normalize.from_stats(MEAN, STD)],
        bs=32,
        num_workers=2,
    )
    model = nn.Sequential(Body(), create_head(1280, loaders.c))
    learner = Learner(loaders, model, loss_func=nn.CrossEntropyLoss(), splitter=halves, metrics=accuracy)
    with learner.no_bar(), learner.no_logging():
        learner.fine_tune(int(epochs))
        learner.export(out)
        seconds = time.perf_counter() - STARTED
        files = sorted(get_image_files(f"{folder}/test"))
        scores, _ = learner.get_preds(dl=learner.dls.test_dl(files))
    classes = list(loaders.vocab)
    labels = [classes.index(file.parent.name) for file in files]
    print(json.dumps({"seconds": seconds, "labels": labels, "answers": scores.argmax(1).tolist(), "classes": classes}))


if __name__ == "__main__":
    torch.set_num_threads(2)
    main(*sys.argv[1:])
