"""Labelled pictures from wherever they lie: a folder, a table, a zip archive, or a set known by name.

``open``       decides which it is: ``open_source(data)`` -> ``Source``
``folder``     a directory a class, with or without parts; ``table``: a CSV; ``archive``: a zip of either
``catalogue``  sets known by name, in their publishers' own files
``pixels``     the pictures of a source at a model's size
``audit``      every picture decoded once: what is unreadable, repeated, or labelled in two ways
``split``      which picture is for learning and which for judging; leaks between parts
``folds``      the same division for cross-validation, and the machinery of both
``balance``    how much each class counts, so that a rare one is not given up

It never writes beside the user's pictures, never unpacks to disk and never judges a model.
"""
