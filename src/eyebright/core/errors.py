"""The errors that eyebright raises on purpose, and the exit code each one becomes.

    EyebrightError
    ├── SettingsError        2   wrong flags, keys or values
    ├── DataError            3   a data set that is missing, unreadable or unfit
    │   └── ImageError       3   one picture that cannot be read
    ├── MissingExtraError    4   a package that is not installed
    ├── ResourceError        5   disk, memory or time ran out
    │   └── DivergedError    5   a training whose loss is no longer a number
    ├── ModelError           6   a model or bundle that is refused
    ├── QualityGateError     7   a result below the limit that was asked for
    └── InterruptedRunError  130 stopped by the user; the message says how to go on

Each message says what was found, what was expected and what to do. The command line shows these without a traceback;
anything else that escapes is our bug and keeps its traceback.
"""


class EyebrightError(Exception):
    """Base of every error that is raised on purpose."""

    exit_code = 1


class SettingsError(EyebrightError):
    """A flag, key or value that cannot be used."""

    exit_code = 2


class DataError(EyebrightError):
    """A data set that is missing, unreadable or unfit for the work."""

    exit_code = 3


class ImageError(DataError):
    """One picture that cannot be read. The message does not repeat the picture's name: the caller knows it."""


class MissingExtraError(EyebrightError):
    """A package is missing; the message holds the command that installs it."""

    exit_code = 4

    @classmethod
    def for_extra(cls, extra: str, purpose: str) -> "MissingExtraError":
        """The error for a missing extra, e.g. ``for_extra("train", "training")``."""
        return cls(f"{purpose} needs packages that are not installed. Install them: pip install 'eyebright[{extra}]'")


class ResourceError(EyebrightError):
    """The disk, the memory or the time is not enough."""

    exit_code = 5


class DivergedError(ResourceError):
    """A training whose loss is no longer a number: no time would be enough. Another network may still be trained."""


class ModelError(EyebrightError):
    """A model or bundle that is damaged, unsafe or of an unknown kind."""

    exit_code = 6


class QualityGateError(EyebrightError):
    """A result is below the limit that the user asked for."""

    exit_code = 7


class InterruptedRunError(EyebrightError):
    """The user stopped the work. What was done is kept, and the message says how to go on."""

    exit_code = 130
