"""Plain transfer: frozen features and scikit-learn's logistic regression:  python logistic.py FOLDER OUT

``FOLDER`` holds train/CLASS/*.jpg and test/CLASS/*.jpg. Prints JSON: seconds from the start of the program to the stored model,
and the answers for the test pictures.
"""

import json
import sys
import time

STARTED = time.perf_counter()

import joblib  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from backbone import MEAN, STD, backbone  # noqa: E402
from sklearn.linear_model import LogisticRegression  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402
from torchvision import datasets, transforms  # noqa: E402

BATCH = 32


def features(folder, network):
    look = transforms.Compose(
        [
            transforms.Resize(256, transforms.InterpolationMode.BICUBIC),
            transforms.CenterCrop(224),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ]
    )
    pictures = datasets.ImageFolder(folder, look)
    loader = torch.utils.data.DataLoader(pictures, batch_size=BATCH, num_workers=2)
    found, labels = [], []
    with torch.inference_mode():
        for x, y in loader:
            found.append(network(x).numpy())
            labels.append(y.numpy())
    return np.concatenate(found), np.concatenate(labels), pictures.classes


def main(folder, out):
    network = backbone().eval()
    x, y, classes = features(f"{folder}/train", network)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(x, y)
    joblib.dump({"head": model, "classes": classes}, out)
    seconds = time.perf_counter() - STARTED
    x, y, _ = features(f"{folder}/test", network)
    print(json.dumps({"seconds": seconds, "labels": y.tolist(), "answers": model.predict(x).tolist(), "classes": classes}))


if __name__ == "__main__":
    main(*sys.argv[1:])
