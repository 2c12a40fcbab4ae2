"""One file a format: a network written in another form, and the pictures that prove it (``probe``).

Nothing here trains or decides; writing the bundle around the forms is ``bundle``'s work.
"""
