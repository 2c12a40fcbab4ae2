"""One declaration for each verb: a frozen model that is the Python argument, the TOML file and the command's flags.

Precedence: flags, then the file, then the defaults. Unknown keys are refused with a suggestion.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError
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
            raise SettingsError(explain(error, list(cls.model_fields))) from None


def argument(default: Any = ..., *, help: str, positional: bool = False, **limits: Any) -> Any:  # noqa: A002 - the command line's own word
    """A field with its help line; ``positional`` arguments are given by place on the command line, not by flag.

    ``limits`` are pydantic's (``ge``, ``le``, ``gt``, ``min_length`` ...).
    """
    return Field(default, description=help, json_schema_extra={"positional": positional}, **limits)


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


def explain(error: ValidationError, known: list[str]) -> str:
    """One sentence for each thing that is wrong, in the words of the command line."""
    return " ".join(_sentence(detail, known) for detail in error.errors(include_url=False))


def _sentence(detail: ErrorDetails, known: list[str]) -> str:
    name = ".".join(str(part) for part in detail["loc"]) or "settings"
    if detail["type"] == "extra_forbidden":
        return unknown("setting", name, known)
    if detail["type"] == "missing":
        return f"The argument {name.upper()} is missing."
    message = detail["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    if detail["type"] == "value_error":
        return f"--{name.replace('_', '-')}: {message.rstrip('.')}."
    return f"--{name.replace('_', '-')} is {detail['input']!r}; expected {message.rstrip('.')}."
