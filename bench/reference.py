"""A finished run beside the plain reference, on the same test pictures:  python -m bench.reference RUN DATA [--group REGEX]

The reference is scikit-learn's logistic regression (C = 1, standardised features) on frozen EfficientNet-Lite0 features of all
pictures but the test part, at 224 pixels, squashed: what a careful user does by hand. Both are right or wrong on the same
pictures, so their difference is paired, with a bootstrap over groups. Nothing is chosen by what this prints.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from eyebright.core.predictions import load_predictions
from eyebright.core.preprocess import Preprocess
from eyebright.core.run import open_run
from eyebright.data.open import open_source
from eyebright.data.pixels import prepare_all
from eyebright.data.split import split_from_json
from eyebright.evaluation import paired_difference
from eyebright.models import lite0
from eyebright.training.fit import outputs_of
from eyebright.training.recipe import Recipe


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("data")
    parser.add_argument("--group")
    given = parser.parse_args()

    run = open_run(given.run)
    split = split_from_json(json.loads(run.split.read_text(encoding="utf-8")))
    ours = load_predictions(run.predictions / "test.safetensors")
    source = open_source(given.data, group=given.group)
    label_of = {sample.key: sample.label for sample in source.samples}
    seen = [key for part in ("train", "validation", "calibration") for key in split.parts[part]]

    network = lite0.lite0(len(source.classes))
    lite0.load_pretrained(network)
    spec = Preprocess(height=lite0.SIZE, width=lite0.SIZE)
    recipe = Recipe(epochs=0)
    features = {
        name: outputs_of(network, prepare_all(source, keys, spec), recipe)[1]
        for name, keys in (("seen", seen), ("test", ours.keys))
    }
    reference = make_pipeline(StandardScaler(), LogisticRegression(C=1.0, max_iter=2000))
    reference.fit(features["seen"], [label_of[key] for key in seen])

    answers = {"eyebright": ours.logits.argmax(axis=1), "logistic regression": reference.predict(features["test"])}
    for name, answered in answers.items():
        accuracy, f1 = (answered == ours.labels).mean(), f1_score(ours.labels, answered, average="macro")
        print(f"{name:20} accuracy {accuracy:.3f}, macro F1 {f1:.3f}, n = {len(ours)}")
    right = [np.asarray(answered == ours.labels) for answered in answers.values()]
    difference = paired_difference(right[0], right[1], ours.groups)
    print(f"paired difference    {difference.value:+.3f} (95 % interval {difference.low:+.3f} to {difference.high:+.3f})")


if __name__ == "__main__":
    main()
