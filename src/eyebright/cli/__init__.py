"""The command line: a static table of verbs, flags from their settings, and words for the terminal.

It never decides anything about pictures: it reads flags, calls one verb, and prints what came back. ``main`` is kept so light
that ``eyebright --help`` answers before a heavy package could be loaded.
"""
