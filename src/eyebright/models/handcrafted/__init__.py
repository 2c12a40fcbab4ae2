"""Models whose features nobody trained: gradients, words of local patches, colours; a classic classifier decides on them.

With numpy alone: fitting them is ``training``'s work, and needs more.
"""
