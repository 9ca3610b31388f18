"""Whether the result can be trusted: written for every photo, also for one that could not be measured."""

from __future__ import annotations

import dataclasses
import html

import runbundle as rb
from gridpet.engine.artifacts import ArtifactId, StageName
from gridpet.engine.documents import plain, write_document
from gridpet.engine.results import Context, geometry, measurement, photo, points
from gridpet.vision.quality.checks import Check, Verdict, grid_checks, grid_missing, object_checks, verdict
from gridpet.vision.quality.photo import image_checks

name = StageName.QC

_BEFORE = (StageName.PREPROCESS, StageName.GRID, StageName.GEOM, StageName.SEGMENTATION, StageName.MEASUREMENT)
_COLOURS = {"pass": "#1a7f37", "warn": "#9a6700", "fail": "#cf222e"}


def run(context: Context) -> None:
    """Check what there is, and give the verdict."""
    reasons = tuple(reason for stage in _BEFORE for reason in _declined(context, stage))
    checks = _checks(context, reasons)
    found = verdict(checks, reasons)
    results = {"checks": [check.to_json() for check in checks]}
    write_document(
        context, ArtifactId.QC_REPORT, "qc", results, status=found.status.value, reasons=tuple(found.reasons)
    )
    context.run_io.write(ArtifactId.QC_SUMMARY, _page(context, found, checks))


def _declined(context: Context, stage: StageName) -> tuple[str, ...]:
    """Why a stage gave nothing; empty if it did, or was only skipped."""
    return context.reasons(stage) if context.outcome(stage) is rb.Outcome.DECLINED else ()


def _checks(context: Context, reasons: tuple[str, ...]) -> tuple[Check, ...]:
    passed = {stage for stage in _BEFORE if context.outcome(stage) is rb.Outcome.COMMITTED}
    if StageName.PREPROCESS not in passed:
        return ()
    if StageName.GEOM not in passed:
        return (*image_checks(photo(context)), grid_missing(reasons))
    nodes, fitted = points(context), geometry(context)
    checks = (*image_checks(photo(context), nodes.uv[fitted.used]), *grid_checks(nodes, fitted))
    if StageName.MEASUREMENT in passed:
        checks += object_checks(measurement(context).to_json())
    return checks


def _page(context: Context, found: Verdict, checks: tuple[Check, ...]) -> str:
    """The verdict as a page that needs nothing but itself."""
    primary = context.run_io.primary_input or {}
    title = html.escape(f"{primary.get('filename', '').rpartition('/')[2]}: {found.status.value}")
    items = "".join(f"<li>{html.escape(reason)}</li>" for reason in found.reasons)
    reasons = f"<ul>{items}</ul>" if items else "<p>Every check passed.</p>"
    rows = "".join(_table_row(check) for check in checks)
    settings = html.escape(", ".join(f"{k} = {v}" for k, v in plain(dataclasses.asdict(context.config)).items()))
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 56rem; margin: 2rem auto; padding: 0 1rem }}
h1 {{ color: {_COLOURS[found.status.value]} }}
table {{ border-collapse: collapse; width: 100% }}
td, th {{ padding: .3rem .6rem; border-bottom: 1px solid #d0d7de; text-align: left }}
td.number {{ text-align: right; font-variant-numeric: tabular-nums }}
</style></head><body>
<h1>{title}</h1>
{reasons}
<table><tr><th>check</th><th>value</th><th>warns at</th><th>fails at</th><th>verdict</th><th></th></tr>{rows}</table>
<p>{settings}</p>
</body></html>
"""


def _table_row(check: Check) -> str:
    numbers = "".join(
        f'<td class="number">{"" if value is None else f"{value:.4g}"}</td>'
        for value in (check.value, check.warn, check.fail)
    )
    colour = _COLOURS[check.status.value]
    return (
        f"<tr><td>{html.escape(check.id)}</td>{numbers}"
        f'<td style="color: {colour}">{check.status.value}</td><td>{html.escape(check.message)}</td></tr>'
    )
