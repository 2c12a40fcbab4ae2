"""Five ways of asking over HTTP, one file each: our own, and those that other people's clients already speak.

Each has ``router(desk)``. They take requests apart and put answers together; what a picture shows, the desk alone says,
so all five give the same numbers. Beside labels these have six decimals, as in ``eyebright predict``; tensors have
every bit of their float32.
"""
