"""The process in which a ``.tflite`` file is tried: LiteRT checks the frame of a file, not all that is in it, and may crash.

``run_apart`` starts it. What it finds is thrown away: where it lives to the end, the same is done again outside.
"""

import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path

from eyebright.core.errors import EyebrightError
from eyebright.verbs.importing.apart import confine, request_of


def main(arguments: Sequence[str]) -> None:
    """Reads and asks the file of the request in ``arguments``; a refusal is not told here, as it will come again."""
    from eyebright.backends import litert_  # noqa: F401 - everything is imported before the process is confined
    from eyebright.core.events import silent
    from eyebright.verbs.importing.declared import Declared
    from eyebright.verbs.importing.litert import read

    request, folder = request_of(arguments)
    file = Path(request["file"])
    confine(folder, file.stat().st_size)
    with contextlib.suppress(EyebrightError):
        read(file, tuple(request["classes"]), Declared(**request["declared"]), folder, silent)


if __name__ == "__main__":
    main(sys.argv)
