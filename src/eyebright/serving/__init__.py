"""A page and an HTTP interface over bundles, in one process on one port.

What a picture is, what a model answers and what a decision makes of it is said in the rooms below; here are only the queue, the
dialects that other people's clients speak, the limits, and the page. It never trains, and never opens an address.
"""
