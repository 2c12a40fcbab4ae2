"""Bytes to pixels: the only place where a picture is decoded and resized, for training, measuring and serving alike.

``decode``      encoded bytes -> upright RGB, or an ``ImageError`` that says why not
``preprocess``  a decoded picture -> a model's own size; ``kernels``: Pillow's resampling once more, compiled
``phash``       a small copy and 64 bits by which near copies are found; ``align``: how alike two of them are

It never reads a file, never guesses by a file's name and never needs torch.
"""
