"""Where the seconds of a run went, by its own log:  python -m bench.transfer.phases RUN [RUN ...]

A row for what the command said it was doing, a column a run. The log begins behind the first imports, a second or two late.
"""

import json
import sys
from pathlib import Path

BEGUN = "until the first picture is read"


def seconds_of(run: str) -> dict[str, float]:
    """What the run said it was doing, and for how many seconds, in the order in which it came up."""
    found: dict[str, float] = {}
    doing, since = BEGUN, None
    for line in Path(run, "events.jsonl").read_text(encoding="utf-8").splitlines():
        event = json.loads(line)
        if since is not None:
            found[doing] = found.get(doing, 0.0) + event["time"] - since
        since = event["time"]
        if event["event"] == "phase":
            doing = event["name"]
    return found


def main(runs: list[str]) -> None:
    columns = [seconds_of(run) for run in runs]
    names = list(dict.fromkeys(name for column in columns for name in column))
    print("| | " + " | ".join(Path(run).name for run in runs) + " |")
    print("|---" * (len(runs) + 1) + "|")
    for name in names:
        print(f"| {name} | " + " | ".join(f"{column[name]:.1f}" if name in column else "" for column in columns) + " |")
    print("| **all** | " + " | ".join(f"{sum(column.values()):.1f}" for column in columns) + " |")


if __name__ == "__main__":
    main(sys.argv[1:])
