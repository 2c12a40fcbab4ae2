"""Run as a program: writes small Keras models of many kinds, and what Keras itself says of a few pictures, to a folder.

Keras is loaded in that program only, on the torch backend, as it can have one backend a process.
"""

import sys
from pathlib import Path

import numpy as np

SIDE, CLASSES = 16, 4


def functional(keras):
    """Layers of most kinds, arithmetic between them, a model in the model, and layers that act in training only."""
    layers = keras.layers
    start = keras.Input((SIDE, SIDE, 3))
    values = layers.RandomFlip()(start)
    values = layers.Rescaling(1 / 255)(values)
    values = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(values)
    values = layers.BatchNormalization()(values)
    values = layers.ReLU(6.0)(values)
    values = values + layers.SeparableConv2D(8, 3, padding="same", activation="swish")(values)
    inner = keras.Sequential([keras.Input((8, 8, 8)), layers.DepthwiseConv2D(3, padding="same"), layers.BatchNormalization()])
    values = layers.MaxPooling2D(3, strides=2, padding="same")(inner(values))
    gate = layers.Reshape((1, 1, 8))(layers.GlobalAveragePooling2D()(values))
    values = layers.Multiply()([values, layers.Dense(8, activation="hard_sigmoid")(gate)])
    values = layers.Dropout(0.5)(layers.Flatten()(layers.ZeroPadding2D(1)(values)))
    return keras.Model(start, layers.Dense(CLASSES, activation="softmax")(values))


def sequential(keras, **options):
    layers = keras.layers
    body = [layers.Conv2D(6, 3, activation="relu"), layers.BatchNormalization(), layers.GlobalMaxPooling2D()]
    return keras.Sequential([keras.Input((SIDE, SIDE, 3), **options), *body, layers.Dropout(0.3), layers.Dense(CLASSES)])


def unusual(model, seed=0):
    """Gives every weight a value of its own, those of the batch norms above zero."""
    dice = np.random.default_rng(seed)
    for variable in model.variables:
        if variable.dtype.startswith("float"):
            low = 0.5 if "variance" in variable.path or "gamma" in variable.path else -0.5
            variable.assign(dice.uniform(low, low + 1, variable.shape))
    return model


def main(folder):
    import keras

    class Ours(keras.layers.Layer):
        def call(self, values):
            return values

    models = {
        "functional.keras": functional(keras),
        "sequential.h5": sequential(keras),
        "fixed.keras": sequential(keras, batch_size=2),
        "open.keras": keras.Sequential(
            [keras.Input((None, None, 3)), keras.layers.Conv2D(4, 3), keras.layers.GlobalAveragePooling2D()]
        ),
    }
    pixels = np.random.default_rng(1).random((4, SIDE, SIDE, 3), dtype=np.float32)
    answers = {}
    for name, model in models.items():
        unusual(model).save(folder / name)
        batches = (pixels[:2], pixels[2:])
        said = [model(batch, training=False).detach().cpu().numpy() for batch in batches]
        answers[name] = np.concatenate(said)
    evil = keras.Sequential([keras.Input((SIDE, SIDE, 3)), keras.layers.Lambda(lambda x: x), keras.layers.Flatten()])
    for name in ("lambda.keras", "lambda.h5"):
        evil.save(folder / name)
    keras.Sequential([keras.Input((SIDE, SIDE, 3)), Ours(), keras.layers.Flatten()]).save(folder / "custom.keras")
    np.savez(folder / "said.npz", pixels=pixels, **answers)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
