"""Keras' usual first network on CIFAR-10:  python keras_cnn.py DATA.npz SEED MINUTES

The network of Keras' CIFAR-10 example (conv 32, conv 64, each with pooling; dense 512, dropout 0.5), Adam, batches of 64,
TensorFlow on all cores. After each epoch it prints a line of JSON: seconds of training so far and the test accuracy, whose time
is not counted.
"""

import json
import sys
import time

import keras
import numpy as np
from keras import layers


def network() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(512, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ]
    )


def main(file: str, seed: int, minutes: float) -> None:
    keras.utils.set_random_seed(seed)
    data = np.load(file)
    train, test = (
        np.ascontiguousarray(data[f"x_{part}"].transpose(0, 2, 3, 1), np.float32) / 255 for part in ("train", "test")
    )
    model = network()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    seconds = 0.0
    while seconds < 60 * minutes:
        started = time.perf_counter()
        model.fit(train, data["y_train"], batch_size=64, epochs=1, verbose=0)
        seconds += time.perf_counter() - started
        right = int((model.predict(test, batch_size=500, verbose=0).argmax(axis=1) == data["y_test"]).sum())
        print(json.dumps({"seconds": seconds, "right": right, "n": len(test)}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
