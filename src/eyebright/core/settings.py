"""One declaration for each verb: a frozen model that is the Python argument, the TOML file and the command's flags.

Precedence: flags, then the file, then the defaults. Unknown keys are refused with a suggestion.
"""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from eyebright.core.errors import SettingsError
from eyebright.core.registry import unknown


class Settings(BaseModel):
    """Base of every verb's settings. Frozen, and unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, str_strip_whitespace=True)

    @classmethod
    def resolve(cls, flags: Mapping[str, Any] | None = None, config: Path | None = None) -> Self:
        """The settings from ``flags`` over the TOML file ``config`` over the defaults.

        Raises ``SettingsError`` naming the key, what was found, what was expected and the nearest known key.
        """
        values = read_toml(config) if config else {}
        values.update(flags or {})
        try:
            return cls(**values)
        except ValidationError as error:
            raise SettingsError(explain(error, cls.model_fields)) from None


def argument(
    default: Any = ...,
    *,
    help: str,  # noqa: A002 - the command line's own word
    positional: bool = False,
    section: str = "Flags",
    **limits: Any,
) -> Any:
    """A field with its help line; ``positional`` arguments are given by place on the command line, not by flag.

    ``section`` is the heading under which the help lists the flag. ``limits`` are pydantic's (``ge``, ``le``, ``gt``,
    ``min_length`` ...).
    """
    return Field(default, description=help, json_schema_extra={"positional": positional, "section": section}, **limits)


def read_toml(path: Path) -> dict[str, Any]:
    """The keys of a settings file, dashes read as underscores. Raises ``SettingsError`` where it cannot be read."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(
            f"The settings file {path} cannot be read: {error.strerror}. Give a TOML file that exists."
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"The settings file {path} is not valid TOML: {error}.") from None
    return {key.replace("-", "_"): value for key, value in table.items() if key not in ("reasons", "schema")}


def explain(error: ValidationError, fields: Mapping[str, FieldInfo]) -> str:
    """One sentence for each thing that is wrong, in the words of the command line."""
    return " ".join(_sentence(detail, fields) for detail in error.errors(include_url=False))


def _sentence(detail: ErrorDetails, fields: Mapping[str, FieldInfo]) -> str:
    message = detail["msg"].removeprefix("Value error, ").rstrip(".")
    if not detail["loc"]:  # about several settings together: the message names them
        return f"{message}."
    # What follows in the place is the position in a list, or which of several types was tried.
    name = str(detail["loc"][0])
    if detail["type"] == "extra_forbidden":
        return unknown("setting", name, fields)
    called = _called(name, fields)
    if detail["type"] == "missing":
        return f"The argument {called} is missing."
    if detail["type"] == "value_error":
        return f"{called}: {message}."
    return f"{called} is {detail['input']!r}; expected {_expected(detail, message)}."


def _called(name: str, fields: Mapping[str, FieldInfo]) -> str:
    """What the command line calls a field: ``DATA`` where it is given by place, ``--top-k`` where by flag."""
    extra = fields[name].json_schema_extra if name in fields else None
    by_place = isinstance(extra, dict) and bool(extra.get("positional"))
    return name.replace("_", "-").upper() if by_place else f"--{name.replace('_', '-')}"


def _expected(detail: ErrorDetails, message: str) -> str:
    """What pydantic expected, without its grammar: "Input should be a valid integer" is "a valid integer"."""
    if detail["type"] in ("string_too_short", "too_short") and detail.get("ctx", {}).get("min_length") == 1:
        return "something that is not empty"
    return re.sub(r"^\w+ should (be |have )?", "", message)
