"""What `eyebright benchmark` measured, as text."""

from typing import Any

from eyebright.cli.show.common import blank_table, cell, output, print_findings, print_line, print_title


def show_benchmark(result: Any) -> None:
    """Prints one row a form, the quickest first, and below it how far the quickest is from the processor's limit."""
    console = output()
    height, width = result.size
    views = f", up to {result.views} views a picture" if result.views > 1 else ""
    print_title(console, f"{result.model}, {width} x {height} pixels{views}")
    print_line(console, f"{result.machine}; {result.threads} threads; the network alone, pictures already decoded")
    many = "pictures/s" if result.batch == 1 else f"pictures/s, {result.batch} at once"
    table = blank_table("form", ">p50 ms", ">p99 ms", ">calls", f">{many}", ">start s", ">memory MiB", ">off by")
    for form in result.forms:
        if form.state == "ok":
            memory = "" if form.memory_mib is None else f"{form.memory_mib:.0f}"
            times = (f"{form.p50_ms:.2f}", f"{form.p99_ms:.2f}", f"{form.n:,}", f"{form.pictures_per_second:.0f}")
            table.add_row(cell(form.form), *times, f"{form.start_seconds:.2f}", memory, f"{form.difference:.0e}")
        else:
            table.add_row(cell(f"{form.form} ({form.state})", "yellow"))
    console.print(table)
    if result.roof is not None:
        print_line(console, _roof_sentence(result))
    print_findings(console, "Not measured", [f"{form.form}: {form.reason}" for form in result.forms if form.reason])


def _roof_sentence(result: Any) -> str:
    roof = result.roof
    said = (
        f"{roof.million_operations:.0f} million operations take {roof.arithmetic_ms:.2f} ms at the {_rate(roof)} in float32 "
        f"that this processor reached; reading {roof.weight_mib:.1f} MiB of weights from memory takes {roof.reading_ms:.2f} ms."
    )
    best = next((form for form in result.forms if form.p50_ms), None)
    if best is None or result.views > 1:
        return said
    return f"{said} The quickest, {best.form}, takes {best.p50_ms / roof.arithmetic_ms:.1f} times the arithmetic."


def _rate(roof: Any) -> str:
    return f"{roof.operations_per_second / 1e9:.0f} GFLOP/s"
