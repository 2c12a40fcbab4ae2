"""The bundle's README.md: a model card that Hugging Face's readers understand, and people too."""

import json
import re

from eyebright.core.report import Report, Subgroup
from eyebright.render import findings, words

_CARD_METRICS = {"accuracy": "accuracy", "f1_macro": "f1"}  # our name: the hub's identifier of the kind
_LISTED_CLASSES = 60
_LISTED_SUBGROUPS = 12
_MARKUP = re.compile(r"([\\`*_{}\[\]#|~!$@:])")


def render_card(report: Report, *, name: str, licence_of_weights: str | None = None) -> str:
    """The model card of the bundle called ``name``, in markdown under a YAML head.

    ``licence_of_weights`` is an SPDX name such as ``apache-2.0``; without one the head says ``unknown``, since a licence
    is not ours to guess.
    """
    report, name = words.cleaned(report), words.plain(name)
    sections = [
        _head(report, name, licence_of_weights),
        f"# {escaped(name)}",
        _recognises(report),
        _intended_use(report),
        _limits(report),
        _quality(report),
        _folds(report),
        _subgroups(report),
        _data(report),
        _cautions(report),
        usage("`eyebright verify BUNDLE` shows that each form still computes what it did here."),
        _licence(licence_of_weights),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def escaped(text: str) -> str:
    r"""``text`` as markdown that shows exactly it: no markup, no HTML, no link, no line of its own.

    >>> escaped("a_b <i>")
    'a\\_b &lt;i&gt;'
    """
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    # Hubs make links of bare addresses too: the colon is escaped above, this takes the other kind.
    return _MARKUP.sub(r"\\\1", text).replace("www.", r"www\.")


def quoted(text: str) -> str:
    """``text`` as a YAML scalar: JSON's strings are YAML's double-quoted ones, whatever they hold."""
    return json.dumps(text, ensure_ascii=False)


def _head(report: Report, name: str, licence: str | None) -> str:
    lines = [
        "---",
        f"license: {quoted(words.plain(licence or 'unknown').lower())}",
        "library_name: eyebright",
        "pipeline_tag: image-classification",
        "tags:",
        "- eyebright",
        "- image-classification",
    ]
    measured = [(metric, report.figures[metric].value) for metric in _CARD_METRICS if metric in report.figures]
    defined = [(metric, value) for metric, value in measured if value is not None]
    if defined:
        lines += ["metrics:", *(f"- {_CARD_METRICS[metric]}" for metric, _ in defined)]
        lines += _model_index(report, name, defined)
    return "\n".join([*lines, "---"])


def _model_index(report: Report, name: str, measured: list[tuple[str, float]]) -> list[str]:
    lines = [
        "model-index:",
        f"- name: {quoted(name)}",
        "  results:",
        "  - task:",
        "      type: image-classification",
        "    dataset:",
        f"      name: {quoted(report.data.name)}",
        "      type: image-folder",
        f"      split: {quoted(report.part)}",
        "    metrics:",
    ]
    for metric, value in measured:
        lines += [f"    - type: {_CARD_METRICS[metric]}", f"      name: {metric}", f"      value: {value:.4f}"]
    return lines


def _recognises(report: Report) -> str:
    names = [escaped(name) for name in report.classes]
    more = len(names) - _LISTED_CLASSES
    shown = [*names[:_LISTED_CLASSES], f"{more} more"] if more > 0 else names
    lead = escaped(" ".join(report.summary))
    classes = words.plural(len(names), "class", "classes")
    return "\n\n".join(part for part in (lead, f"It tells {classes} apart: {words.listed(shown)}.") if part)


def _intended_use(report: Report) -> str:
    told = escaped(report.intended_use) or "Its makers did not state one."
    return f"## Intended use\n\n{told}"


def _limits(report: Report) -> str:
    return f"## Limits\n\n{escaped(report.limits)}" if report.limits else ""


def _quality(report: Report) -> str:
    if not report.figures:
        return ""
    rows = [
        f"| {escaped(words.metric_name(metric))} | {words.figure_text(metric, figure)} | {figure.n:,} |"
        for metric, figure in report.figures.items()
    ]
    told = [f"Measured on {words.plural(report.n, 'picture')} of the {escaped(report.part)} part; 95 % intervals in brackets."]
    if findings.imbalanced(report):
        told.append(findings.imbalance_sentence(report))
    if report.data.leaks:
        leaks = " ".join(report.data.leaks)
        told.insert(0, f"**Leak:** {escaped(f'{leaks} {findings.leak_sentence(report)}')}")
    table = "\n".join(["| Figure | Value | n |", "| --- | --- | ---: |", *rows])
    return "\n\n".join(["## How well", *told, table, _against_baseline(report)]).rstrip()


def _against_baseline(report: Report) -> str:
    metric = "balanced_accuracy" if findings.imbalanced(report) else "accuracy"
    verdict = findings.verdict(report, metric)
    return f"Its {words.metric_name(metric).lower()} is {escaped(verdict.text)}." if verdict else ""


def _folds(report: Report) -> str:
    found = report.training.cross_validation if report.training else None
    if found is None or not found.folds:
        return ""
    told = f"{escaped(findings.folds_finding(found))} (mean and standard deviation over the folds)."
    return (
        f"## Cross-validation\n\n{told} That is of {escaped(found.how)}: it judges the way of training, on pictures that its "
        "choices were also made on; the figures above judge this model on pictures that nothing was chosen on."
    )


def _subgroups(report: Report) -> str:
    if not report.subgroups:
        return ""
    marked = [(row, verdict.text) for row in report.subgroups if (verdict := findings.subgroup_verdict(row))]
    shown = sorted(marked, key=lambda pair: (pair[1] != "worse", pair[0].column, pair[0].value))[:_LISTED_SUBGROUPS]
    lines = [_subgroup_line(row, word) for row, word in shown]
    compared = words.plural(len(report.subgroups), "subgroup")
    told = (
        f"{escaped(findings.subgroup_finding(report.subgroups))}. {compared} {'was' if len(report.subgroups) == 1 else 'were'} "
        f"compared with all other pictures of the {escaped(report.part)} part; of 20 alike, about 1 looks different by chance."
    )
    return "\n\n".join(["## Subgroups", told, *(["\n".join(lines)] if lines else [])])


def _subgroup_line(row: Subgroup, word: str) -> str:
    accuracy = row.figures.get("accuracy")
    told = f"accuracy {words.percent(accuracy)}, " if accuracy else ""
    difference = f", by {words.points(row.difference)} points" if row.difference else ""
    return f"- {escaped(row.column)} {escaped(row.value)}: {told}n = {row.n:,}; {word} than the others{difference}"


def _data(report: Report) -> str:
    data = report.data
    told = f"{escaped(data.name)}: {words.plural(data.n, 'picture')} in {words.plural(len(data.classes), 'class', 'classes')}."
    parts = [f"{escaped(name)} {part.n:,}" for name, part in data.parts.items()]
    rest = [escaped(data.sizes), escaped(data.split), f"Parts: {words.listed(parts)}." if parts else ""]
    return "## Trained and measured on\n\n" + " ".join(part for part in (told, *rest) if part)


def _cautions(report: Report) -> str:
    shortcuts = [shortcut.sentence for shortcut in report.data.shortcuts if shortcut.suspicious]
    found = list(dict.fromkeys([*report.cautions, *report.warnings, *shortcuts]))
    if not found:
        return ""
    return "## When not to trust it\n\n" + "\n".join(f"- {escaped(caution)}" for caution in found)


def usage(proof: str, *, extra: str = "") -> str:
    """How the bundle is asked: with ``extra``, where its form needs one, and the sentence that says how it is proved."""
    install = f"pip install '.[{extra}]'" if extra else "pip install ."
    told = "" if extra else " A bundle that has torch's form alone needs `pip install '.[train]'`."
    return (
        "## How to use it\n\n"
        f"```sh\n{install}  # in a clone of eyebright\neyebright predict BUNDLE IMAGE\n```\n\n"
        f"`BUNDLE` is this folder.{told} {proof}"
    )


def _licence(licence: str | None) -> str:
    if licence:
        return f"## Licence\n\nWeights: {escaped(words.plain(licence))}."
    return "## Licence\n\nThe licence of the weights was not stated. Ask whoever gave you this bundle before passing it on."
