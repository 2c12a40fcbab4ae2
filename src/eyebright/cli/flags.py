"""Flags from a settings class: what the command line said, as a dictionary that pydantic then judges.

argparse is not used: it takes the value of an unknown flag for a positional, mixes badly with a positional list after a flag
(``predict MODEL --top-k 3 a.jpg b.jpg``), and its messages are not ours. The rules here are few: ``--name value`` or
``--name=value``, ``--x`` and ``--no-x`` for a switch, a list flag takes words up to the next flag, ``--`` ends the flags.
"""

import dataclasses
import textwrap
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from eyebright.core.errors import SettingsError
from eyebright.core.registry import nearest
from eyebright.core.settings import Settings

WIDTH = 80
COLUMN = 26  # where the explanation of a flag begins

_HELP = ("--help", "-h")
_METAVARS = {int: "N", float: "X", str: "TEXT", Path: "PATH"}


@dataclasses.dataclass(frozen=True)
class Given:
    """What a command line said: only the ``values`` that were given, the settings file, and whether JSON is wanted."""

    values: dict[str, Any]
    config: Path | None = None
    json: bool = False


@dataclasses.dataclass(frozen=True)
class Argument:
    """One field as the command line sees it. ``kind`` says how many words it takes: none, one or many."""

    name: str
    kind: Literal["switch", "one", "many"]
    positional: bool
    metavar: str
    help: str
    default: Any
    required: bool
    section: str = "Flags"

    @property
    def flag(self) -> str:
        """The flag's name without its dashes; a field called ``from_``, as Python needs it, is the flag ``--from``."""
        return self.name.rstrip("_").replace("_", "-")


def arguments_of(settings: type[Settings]) -> list[Argument]:
    """The arguments that a settings class declares, in its order."""
    return [_argument(name, field) for name, field in settings.model_fields.items()]


def asks_for_help(words: list[str]) -> bool:
    """Whether ``--help`` or ``-h`` is among the words before ``--``."""
    flags = words[: words.index("--")] if "--" in words else words
    return any(word in _HELP for word in flags)


def parse(verb: str, words: list[str], settings: type[Settings], *, json: bool = True) -> Given:
    """What ``words`` say, unjudged: values are strings, or lists of them, that pydantic validates.

    Raises ``SettingsError`` for a flag that is unknown, lacks its value or has one too many, and for words left over.
    """
    arguments = arguments_of(settings)
    options = {argument.flag: argument for argument in arguments if not argument.positional}
    options["config"] = Argument("config", "one", False, "FILE", "", None, False)
    if json:
        options["json"] = Argument("json", "switch", False, "", "", False, False)
    values: dict[str, Any] = {}
    loose: list[str] = []
    stream = _Words(words)
    for word in stream:
        if word == "--":
            loose.extend(stream)
        elif _is_flag(word):
            _take(word, stream, verb, options, arguments, values)
        else:
            loose.append(word)
    config, wants_json = values.pop("config", None), bool(values.pop("json", False))
    values.update(_by_place(verb, loose, [argument for argument in arguments if argument.positional]))
    return Given(values, Path(config) if config else None, wants_json)


def help_text(verb: str, about: str, example: str, settings: type[Settings], *, json: bool = True) -> str:
    """The help of one verb, 80 columns wide: usage, arguments, flags with their defaults."""
    arguments = arguments_of(settings)
    places = [argument for argument in arguments if argument.positional]
    options = [argument for argument in arguments if not argument.positional]
    common = [("--config FILE", "settings from a TOML file; flags win over it")]
    common += [("--json", "one JSON document on stdout, for programs")] if json else []
    common += [("--help", "this text")]
    sections = [
        ("Arguments", [(_usage_word(argument), _explained(argument)) for argument in places]),
        *_flag_sections(options),
        ("Every verb" if options else "Flags", common),
        ("Example", [(example, "")]),
    ]
    usage = " ".join(["Usage: eyebright", verb, *map(_usage_word, places), "[flags]"])
    blocks = [usage, about + "."]
    blocks += [title + "\n" + "\n".join(_row(*row) for row in rows) for title, rows in sections if rows]
    return "\n\n".join(blocks) + "\n"


def _flag_sections(options: list[Argument]) -> list[tuple[str, list[tuple[str, str]]]]:
    """The flags under their headings, in the order in which the settings name these first."""
    titles = dict.fromkeys(argument.section for argument in options)
    return [
        (title, [(_signature(argument), _explained(argument)) for argument in options if argument.section == title])
        for title in titles
    ]


class _Words:
    """The words of a command line, with a look at the next one."""

    def __init__(self, words: list[str]) -> None:
        self._words = words
        self._at = 0

    def __iter__(self) -> Iterator[str]:
        while self._at < len(self._words):
            self._at += 1
            yield self._words[self._at - 1]

    def values(self, most: int | None) -> list[str]:
        """The next words that are no flags, at most ``most`` of them."""
        start = self._at
        stop = len(self._words) if most is None else min(start + most, len(self._words))
        while self._at < stop and self._words[self._at] != "--" and not _is_flag(self._words[self._at]):
            self._at += 1
        return self._words[start : self._at]


def _is_flag(word: str) -> bool:
    # "-" means stdin and "-1" is a number: values both.
    return word.startswith("-") and word != "--" and len(word) > 1 and not word[1].isdigit() and not word.startswith("-.")


def _take(
    word: str, stream: _Words, verb: str, options: dict[str, Argument], arguments: list[Argument], values: dict[str, Any]
) -> None:
    """Reads one flag and its values into ``values``."""
    flag, equals, text = word.removeprefix("--").partition("=")
    switched_off = flag.removeprefix("no-")
    if flag not in options and switched_off != flag and getattr(options.get(switched_off), "kind", "") == "switch":
        values[options[switched_off].name] = False
        return
    if flag not in options or not word.startswith("--"):
        raise SettingsError(_unknown_flag(word.partition("=")[0], verb, options, arguments))
    argument = options[flag]
    if argument.kind == "switch":
        if equals:
            raise SettingsError(f"--{flag} takes no value, {text!r} was given. Write --{flag} or --no-{flag}.")
        values[argument.name] = True
        return
    found = [text] if equals else stream.values(1 if argument.kind == "one" else None)
    if not found:
        raise SettingsError(f"--{flag} needs a value: --{flag} {argument.metavar}.")
    values[argument.name] = [*values.get(argument.name, []), *found] if argument.kind == "many" else found[0]


def _unknown_flag(word: str, verb: str, options: dict[str, Argument], arguments: list[Argument]) -> str:
    flag = word.lstrip("-")
    places = {argument.flag: argument.metavar for argument in arguments if argument.positional}
    if flag in places:
        return f"{places[flag]} is given by its place, not by the flag {word}: eyebright {verb} {places[flag]}."
    known = [*options, *(f"no-{name}" for name, option in options.items() if option.kind == "switch"), "help"]
    close = next(iter(nearest(flag, [*known, *places], count=1)), None)
    if close is None:
        hint = f"'eyebright {verb} --help' lists the flags."
    elif close in places:
        hint = f"Did you mean {places[close]}? It is given by its place: eyebright {verb} {places[close]}."
    else:
        hint = f"Did you mean --{close}?"
    return f"Unknown flag {word!r}. {hint}"


def _by_place(verb: str, loose: list[str], places: list[Argument]) -> dict[str, Any]:
    """The loose words given to the positional arguments in order; a list takes what the others leave."""
    values: dict[str, Any] = {}
    left = list(loose)
    for i, place in enumerate(places):
        if not left:
            break
        if place.kind == "many":
            kept = sum(later.required for later in places[i + 1 :])
            count = max(len(left) - kept, 1)
            values[place.name], left = left[:count], left[count:]
        else:
            values[place.name] = left.pop(0)
    if left:
        takes = " ".join(map(_usage_word, places)) or "no arguments"
        raise SettingsError(f"{left[0]!r} is one argument too many; eyebright {verb} takes {takes}.")
    return values


def _argument(name: str, field: FieldInfo) -> Argument:
    extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    positional = bool(extra.get("positional"))
    kind, metavar = _shape(field.annotation)
    return Argument(
        name=name,
        kind=kind,
        positional=positional,
        metavar=name.replace("_", "-").upper() if positional else metavar,
        help=(field.description or "").rstrip("."),
        default=None if field.is_required() else field.get_default(call_default_factory=True, validated_data={}),
        required=field.is_required(),
        section=str(extra.get("section", "Flags")),
    )


def _shape(annotation: Any) -> tuple[Literal["switch", "one", "many"], str]:
    """How many words a type takes, and what stands for one of them in the help.

    >>> _shape(Literal["cpu", "cuda"] | None)
    ('one', 'cpu|cuda')
    """
    origin = get_origin(annotation)
    if origin is Annotated:
        return _shape(get_args(annotation)[0])
    if annotation is bool:
        return "switch", ""
    if origin in (tuple, list, set, frozenset):
        return "many", _shape(get_args(annotation)[0])[1]
    if origin is Literal:
        return "one", "|".join(str(choice) for choice in get_args(annotation))
    if origin in (Union, types.UnionType):
        shapes = [_shape(part) for part in get_args(annotation) if part is not type(None)]
        words = list(dict.fromkeys(metavar for _, metavar in shapes if metavar))
        return shapes[0][0], "|".join(words)
    return "one", _METAVARS.get(annotation, "VALUE")


def _usage_word(argument: Argument) -> str:
    word = f"{argument.metavar} ..." if argument.kind == "many" else argument.metavar
    return word if argument.required else f"[{word}]"


def _signature(argument: Argument) -> str:
    if argument.kind == "switch":
        return f"--{argument.flag}, --no-{argument.flag}"
    dots = " ..." if argument.kind == "many" else ""
    return f"--{argument.flag} {argument.metavar}{dots}"


def _explained(argument: Argument) -> str:
    default = _default(argument)
    return f"{argument.help} (default: {default})" if default else argument.help


def _default(argument: Argument) -> str:
    if argument.required or argument.default is None or argument.default in ("", (), []):
        return ""
    if isinstance(argument.default, bool):
        return "on" if argument.default else "off"
    if isinstance(argument.default, tuple | list):
        return " ".join(map(str, argument.default))
    return str(argument.default)


def _row(left: str, right: str) -> str:
    """One line of help, or more where the words do not fit."""
    margin = " " * COLUMN
    lines = textwrap.wrap(right, WIDTH - COLUMN) or [""]
    head = f"  {left}"
    if len(head) + 2 > COLUMN:
        # A long signature has its own lines, and the explanation begins below it.
        heads = textwrap.wrap(left, WIDTH, initial_indent="  ", subsequent_indent="      ", break_on_hyphens=False)
        return "\n".join([*heads, *(margin + line for line in lines if line)])
    return "\n".join([f"{head:<{COLUMN}}{lines[0]}".rstrip(), *(margin + line for line in lines[1:])])
