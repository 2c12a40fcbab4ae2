"""A bundle's model card as a person who meets the model reads it: without its head, with its title and its first sentence."""

import html
import re

from eyebright.core.bundle import Bundle

LONGEST_SUMMARY = 300  # letters: a line or two beside a menu

_HEAD = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
_TITLE = re.compile(r"^# +(.+)$", re.MULTILINE)
_ESCAPED = re.compile(r"\\([!-/:-@\[-`{-~])")  # a backslash before ASCII punctuation, as CommonMark has it (section 2.4)
_EMPHASIS = re.compile(r"`|\*\*")


def card_text(bundle: Bundle) -> str:
    """The bundle's README without its YAML head; empty where it has none. Raises ``ModelError`` where the file was changed."""
    if bundle.manifest.card_sha256 is None:
        return ""
    card = bundle.file("README.md", bundle.manifest.card_sha256).read_text(encoding="utf-8", errors="replace")
    return _HEAD.sub("", card).strip()


def title_of(card: str) -> str:
    r"""The first heading of a card as plain text; empty where there is none.

    >>> title_of("# My\\_leaves\n\nText")
    'My_leaves'
    """
    found = _TITLE.search(card)
    return _plain(found[1]) if found else ""


def summary_of(card: str) -> str:
    """The first paragraph below the first heading as plain text, cut at ``LONGEST_SUMMARY`` letters.

    >>> summary_of("# Leaves\\n\\nKnows `3` kinds\\nof leaves.\\n\\nMore.")
    'Knows 3 kinds of leaves.'
    """
    below = card[found.end() :] if (found := _TITLE.search(card)) else card
    for block in re.split(r"\n\s*\n", below):
        text = _plain(block)
        if text and not text.startswith("#"):
            return text if len(text) <= LONGEST_SUMMARY else text[: LONGEST_SUMMARY - 1].rstrip() + "…"
    return ""


def _plain(markdown: str) -> str:
    text = _EMPHASIS.sub("", _ESCAPED.sub(r"\1", " ".join(markdown.split())))
    return html.unescape(text)
