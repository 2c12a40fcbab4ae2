"""Labelled pictures from wherever they lie: a folder, a table, a zip archive, or a set known by name.

``open``       decides which it is: ``open_source(data)`` -> ``Source``
``folder``     a directory a class, with or without parts; ``table``: a CSV; ``archive``: a zip of either
``catalogue``  sets known by name, in their publishers' own files
``pixels``     the pictures of a source at a model's size

It never writes beside the user's pictures, never unpacks to disk and never judges a model.
"""
