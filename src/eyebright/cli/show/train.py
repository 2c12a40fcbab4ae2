"""What `eyebright train` made, and where `eyebright report` wrote its page, as text."""

import shlex
from pathlib import Path
from typing import Any

from eyebright.cli.show.common import output, print_findings, print_line, print_path, print_title
from eyebright.cli.show.figures import evaluation_table


def show_train(result: Any) -> None:
    """Prints what came out and where it lies; for a dry run, what would be done."""
    console = output()
    if result.report is None:
        print_findings(console, "What would be done", result.plan, limit=None)
        return
    report = result.report
    print_title(console, report.title)
    for sentence in report.summary:
        print_line(console, sentence)
    console.print(evaluation_table(report))
    print_findings(console, "When not to trust it", report.cautions)
    print_findings(console, "Warnings", report.warnings)
    print_findings(console, "What to do next", [_with_path(step, result.run.path) for step in report.next_steps])
    print_path(console, "Report", result.run.report_html)
    print_path(console, "Model", result.run.bundle)


def _with_path(step: str, run: Path) -> str:
    """The step with the run that it is about, which the report itself, as it may be moved, only calls RUN.

    >>> _with_path("Ask it: eyebright predict RUN IMAGE.", Path("my runs/1"))
    "Ask it: eyebright predict 'my runs/1' IMAGE."
    """
    return step.replace("eyebright predict RUN ", f"eyebright predict {shlex.quote(str(run))} ")


def show_report(result: Any) -> None:
    """Prints where the report lies."""
    print_path(output(), "Report", result.path)
