"""Requests a second of ``eyebright serve`` beside its peers and beside the same model in-process: ``make bench-serve``."""
