"""How the command line shows what the doctor says: findings as they come, then what would help, and what it did."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from unrolled.console_training import Drawn
from unrolled.doctor import Course, Diagnosis, Report
from unrolled.inspection.diagnosis import summary
from unrolled.inspection.remedies import suggested_clip
from unrolled.recipe import Recipe

WHEN = {"data": "the data", "before": "before training", "while": "while training", "after": "after training"}


def print_doctor(events: Iterator[Any], recipe: Recipe, *, as_json: bool) -> bool:
    """A whole consultation; returns whether the patient is healthy."""
    report, last = None, ""
    with Drawn(recipe) as drawn:
        for event in events:
            if isinstance(event, Report):
                report = event
            elif isinstance(event, Diagnosis):
                # While it trains, only what is new is said.
                if not as_json and (event.when != "while" or event.verdict != last):
                    drawn.print(_diagnosis(event))
                last = event.verdict
            else:
                drawn.show(event)
    assert report is not None
    print(json.dumps(report.to_json(), ensure_ascii=False) if as_json else _report(report))
    return report.is_healthy


def print_diagnosis(diagnosis: Diagnosis, *, as_json: bool) -> bool:
    """Of a trained model; returns whether it is healthy."""
    if as_json:
        found = {"verdict": diagnosis.verdict, "findings": [finding._asdict() for finding in diagnosis.findings]}
        print(json.dumps(found, ensure_ascii=False))
    else:
        print(_diagnosis(diagnosis))
    return diagnosis.verdict == "healthy"


def _diagnosis(diagnosis: Diagnosis) -> str:
    step = f", step {diagnosis.step}" if diagnosis.step else ""
    head = f"{WHEN[diagnosis.when]}{step}: {'nothing amiss' if not diagnosis.findings else diagnosis.verdict}"
    return "\n".join([head, *(f"  {f.where}: {f.kind}; {f.because}" for f in diagnosis.findings)])


def _report(report: Report) -> str:
    lines = [f"verdict  {summary(report.plain.findings)}"]
    if report.plain.norms:
        lines.append(f"         {_norms(report.plain)}")
    for remedy in report.remedies:
        options = " ".join(f"--set {name}={value}" for name, value in remedy.options.items())
        lines.append(f"remedy   {remedy.what}" + (f": {options}" if options else ""))
    if report.treated is not None:
        lines += ["", f"{'':24}  {'as asked':>12}  {'treated':>12}"]
        both = (report.plain, report.treated)
        for name in {**report.plain.scores, **report.treated.scores}:
            lines.append(_row(name, [_number(course.scores.get(name)) for course in both]))
        ends = [summary(course.diagnoses[-1].findings) if course.diagnoses else "not tried" for course in both]
        lines.append(_row("verdict", ends))
        if not report.treated.diagnoses:
            lines.append(f"the treatment cannot be tried: {report.treated.broke}")
    return "\n".join(lines)


def _norms(course: Course) -> str:
    norms = sorted(course.norms)
    said = f"gradient norms: median {norms[len(norms) // 2]:.3g}, largest {norms[-1]:.3g}"
    if course.clip_rate is not None and course.recipe.training.clip_norm:
        said += f"; {course.clip_rate:.0%} of the steps were clipped at {course.recipe.training.clip_norm:g}"
    most = suggested_clip(course.norms)
    return said + ("" if most is None else f"; nine of ten are below {most:g}")


def _row(name: str, values: list[str]) -> str:
    return f"{name:24}  " + "  ".join(f"{value:>12}" for value in values)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"
