"""Labelled pictures from wherever they lie: a folder, a table, an archive, arrays in an ``.npz``, or a set known by name.

``open``       decides which it is: ``open_source(data)`` -> ``Source``
``folder``     a directory a class, with or without parts; ``table``: a CSV
``layout``     classes, parts and samples from a listing of names; ``names``: what one name says
``archive``    a folder layout or a table inside an archive, opened by ``zip_`` or ``tar``
``unpack``     one packed file from front to back; ``spool``: bytes that are read by place
``npz``        the arrays of one file; ``arrays``: what they share with the published sets
``catalogue``  sets known by name, in their publishers' own files; ``medmnist``: the facts of eleven of them
``download``   those files from their ``publishers``, checked; ``fetch``: one file; ``address``: which ones are fetched
``pixels``     the pictures of a source at a model's size
``audit``      every picture decoded once: what is unreadable, repeated, or labelled in two ways
``near``       pictures that are nearly the same; ``hamming``: the index that proposes them
``split``      which picture is for learning and which for judging
``leaks``      what the parts that a data set gives have in common and should not
``folds``      the same division for cross-validation, and the machinery of both
``balance``    how much each class counts, so that a rare one is not given up

It never writes beside the user's pictures, leaves nothing unpacked behind and never judges a model. Only ``download`` goes to
the network, and only its verb calls it.
"""
