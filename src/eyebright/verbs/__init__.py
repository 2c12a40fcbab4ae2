"""One file a verb: its settings and its function. The only room where the others are put together.

``making`` holds the steps of ``train``, each a file of its own: what is gathered, chosen, learned, bundled and reported.
"""
