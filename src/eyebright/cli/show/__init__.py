"""Results as text on stdout: small tables for people, one JSON document for programs.

A file a verb, or a small family of verbs; `common` and `figures` are what they share. What a printer is handed is read by
attribute, so that printing loads nothing that the verb itself did not. Every name that comes from the user's files or classes
is neutralised (`cell`, `print_line`, ...) and never read as markup.
"""
