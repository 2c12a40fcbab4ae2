"""The last step of ``train``: the model written as a bundle, timed, and the report written around it."""

from typing import Any

from eyebright.backends.open import open_predictor
from eyebright.core.bundle import Bundle, read_bundle, safe_name
from eyebright.core.events import OnEvent
from eyebright.core.files import write_text
from eyebright.core.machine import usable_cores
from eyebright.core.report import Report
from eyebright.core.run import Run
from eyebright.data.split import hashed_split
from eyebright.evaluation import measure
from eyebright.render.card import render_card
from eyebright.render.html import render_report
from eyebright.verbs.making.bundling import write_bundle
from eyebright.verbs.making.gathering import Material
from eyebright.verbs.making.handcrafted import Crafted, write_handcrafted
from eyebright.verbs.making.learning import Model
from eyebright.verbs.making.packing import Contents

LICENCES = {"lite0": "apache-2.0"}  # of pretrained weights that we know
BATCHES = (1, 16)  # latency, and throughput
SECONDS = 0.4  # a form and batch: enough for a median; ``eyebright benchmark`` takes its time


def write_model(model: Model | Crafted, material: Material, report: Report, run: Run, on_event: OnEvent) -> Bundle:
    """The run's bundle, written and read back, with a card made of the report."""
    name = safe_name(material.source.name)
    licence = LICENCES.get(model.plan.architecture.name) if model.plan.weights == "auto" else None
    contents = Contents(
        name=name,
        classes=material.source.classes,
        preprocess=model.plan.preprocess,
        architecture=model.architecture,
        decision=model.decision,
        split=hashed_split(material.split, material.audit),
        provenance=report.provenance,
        card=render_card(report, name=name, licence_of_weights=licence),
        views=model.plan.views,
    )
    if isinstance(model, Crafted):
        write_handcrafted(model.network, contents, run.bundle, on_event)
    else:
        write_bundle(model.network, contents, run.bundle, on_event)
    return read_bundle(run.bundle)


def with_bundle(report: Report, bundle: Bundle) -> Report:
    """The report, with the speed of the bundle's forms and the hash that names it."""
    return report.model_copy(update={"speed": speed_of(bundle), "provenance": {**report.provenance, "bundle": bundle.sha256}})


def speed_of(bundle: Bundle) -> list[Any]:
    """Latency at batch 1 and throughput at batch 16 of each form, a second or two in all."""
    rows = []
    for form, description in bundle.manifest.forms.items():
        predictor, _ = open_predictor(bundle, form=form, threads=usable_cores())
        size, megabytes = bundle.manifest.preprocess.size, description.bytes / 1e6
        rows += [
            measure(predictor, size, form=form, batch=batch, threads=usable_cores(), megabytes=megabytes, seconds=SECONDS)
            for batch in BATCHES
        ]
    return rows


def write_report(report: Report, run: Run) -> None:
    """Writes the page first and ``report.json`` last: where that is, the run is finished."""
    write_text(run.report_html, render_report(report))
    write_text(run.report_json, report.model_dump_json(by_alias=True, indent=1) + "\n")
