"""What `eyebright serve` did until it was stopped, as text."""

from typing import Any

from eyebright.cli.show.common import output, print_line
from eyebright.core.words import duration


def show_serve(result: Any) -> None:
    """Prints how much was asked, for how long, and what was left without an answer."""
    asked = f"{result.requests:,} request{'' if result.requests == 1 else 's'}"
    left = f" {result.cut:,} had no answer yet; a longer --drain waits for them." if result.cut else ""
    print_line(output(), f"Stopped after {duration(result.seconds)}: {asked}.{left}")
