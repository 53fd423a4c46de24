"""All that is known of a model and its answers about some examples: what `unrolled inspect report` shows.

A report is values; it prints itself and turns into JSON (here), into a page (`report_page`) and into pictures
(`report_picture`). A section that a model cannot have is not there, and `absent` says why.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unrolled.errors import BadOption
from unrolled.files import write_whole
from unrolled.inspection.alignment import Alignment, legible
from unrolled.inspection.diagnosis import Finding, summary
from unrolled.inspection.gates import Values
from unrolled.inspection.gradient_flow import GradientFlow
from unrolled.inspection.saliency import Memory, Saliency
from unrolled.metrics.calibration import Bin
from unrolled.metrics.classification import Confusion

DIGITS = 6


class Mistake(NamedTuple):
    """An answer that was wrong. about: what was asked of; place: where that was read; confidence: None: not known."""

    about: str
    said: str
    right: str
    confidence: float | None
    place: str


class Calibration(NamedTuple):
    """Whether confidences can be believed, as they are and at the temperature that fits the validation split best.

    temperature: above 1, the model is too sure of itself; fitted, measured: on so many answers; left_out: examples
    whose answer training never saw; error_before, error_after: the expected calibration error; before, after: the
    reliability diagrams.
    """

    temperature: float
    fitted: int
    measured: int
    left_out: int
    error_before: float
    error_after: float
    before: list[Bin]
    after: list[Bin]


class Shown(NamedTuple):
    """An example that was chosen to be looked into. title: of it; values: of every cell that reads its elements."""

    title: str
    values: tuple[Values, ...]


@dataclass(frozen=True)
class Report:
    """A model, looked at from all sides.

    Attributes:
        title: what it is of; facts: about the model and the data, name -> text.
        figures: of `evaluate`.
        metric: the deciding one.
        history: the checks of the training, as `history.csv` has them.
        flow: how the gradient fares on its way back; findings: what the doctor says.
        memory: how far back an answer looks.
        means: of each gate and state, (cell, name, mean, share shut, share open).
        shown: the chosen examples; saliency, attention: of the same ones.
        mistakes: the most confident ones first; confusion: which answer is taken for which.
        calibration: of single choices.
        absent: section -> why it is not there.
    """

    title: str
    facts: Mapping[str, str]
    figures: Mapping[str, float]
    metric: str
    history: Sequence[Mapping[str, Any]] = ()
    flow: GradientFlow | None = None
    findings: Sequence[Finding] = ()
    memory: Memory | None = None
    means: Sequence[tuple[str, str, float, float | None, float | None]] = ()
    shown: Sequence[Shown] = ()
    saliency: Sequence[Saliency] = ()
    attention: Sequence[Alignment] = ()
    mistakes: Sequence[Mistake] = ()
    confusion: Confusion | None = None
    calibration: Calibration | None = None
    absent: Mapping[str, str] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        """The doctor's, in a word."""
        return summary(self.findings)

    def __str__(self) -> str:
        lines = [self.title, *(f"  {name}: {value}" for name, value in self.facts.items()), ""]
        lines += [f"  {name:24} {figure(value):>10}" for name, value in self.figures.items()]
        if self.findings:
            lines += ["", f"gradients: {self.verdict}"]
            lines += [f"  {finding.where}: {finding.kind}; {finding.because}" for finding in self.findings]
        if self.calibration is not None:
            found = self.calibration
            change = f"{found.error_before:.4f}, at temperature {found.temperature:.3f} {found.error_after:.4f}"
            lines += ["", f"expected calibration error: {change}"]
        if self.mistakes:
            lines += ["", "the most confident mistakes"]
            lines += [
                f"  {'' if m.confidence is None else f'{m.confidence:.3f}'}  "
                f"{legible(m.said)} (right: {legible(m.right)})  {legible(m.about)}"
                for m in self.mistakes
            ]
        lines += ["", *(f"no {section}: {why}" for section, why in self.absent.items())] if self.absent else []
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """All of it as plain values, to six digits."""
        plain = {
            "title": self.title,
            "facts": dict(self.facts),
            "figures": dict(self.figures),
            "metric": self.metric,
            "history": [dict(row) for row in self.history],
            "verdict": self.verdict,
            "findings": [finding._asdict() for finding in self.findings],
            "gradient_flow": None if self.flow is None else self.flow.to_json(),
            "memory": None if self.memory is None else _memory(self.memory),
            "means": [dict(zip(("cell", "name", "mean", "shut", "open"), row, strict=True)) for row in self.means],
            "examples": [_shown(one) for one in self.shown],
            "saliency": [one._asdict() for one in self.saliency],
            "attention": [one._asdict() for one in self.attention],
            "mistakes": [one._asdict() for one in self.mistakes],
            "confusion": None if self.confusion is None else self.confusion._asdict(),
            "calibration": None if self.calibration is None else _calibration(self.calibration),
            "absent": dict(self.absent),
        }
        found: dict[str, Any] = rounded(plain)
        return found

    def to_html(self) -> str:
        """One page that needs nothing else: no network, no other file."""
        from unrolled.inspection.report_page import report_page

        return report_page(self)

    def to_pngs(self) -> dict[str, bytes]:
        """Pictures for papers, by name."""
        from unrolled.inspection.report_picture import pictures

        return pictures(self)

    def save(self, path: str | Path) -> None:
        """Write a page or JSON, as the suffix says: .html or .json. Whole, or not at all.

        Raises `BadOption` for another suffix, `CannotWrite` with the system's reason.
        """
        path = Path(path)
        if path.suffix in (".html", ".htm"):
            write_whole(path, self.to_html().encode(errors="replace"))
        elif path.suffix == ".json":
            write_whole(path, json.dumps(self.to_json()).encode())
        else:
            raise BadOption(f"{path}: a report is written as .html or .json, not as {path.suffix or 'this'!r}")


def _memory(found: Memory) -> dict[str, Any]:
    return {"moved": found.moved.tolist(), "examples": found.examples.tolist(), "horizon": found.horizon}


def _shown(one: Shown) -> dict[str, Any]:
    cells = [{"layer": v.layer, "elements": list(v.elements), "values": dict(v.of)} for v in one.values]
    return {"title": one.title, "cells": cells}


def _calibration(found: Calibration) -> dict[str, Any]:
    bins = {name: [one._asdict() for one in getattr(found, name)] for name in ("before", "after")}
    return {**found._asdict(), **bins}


def rounded(value: Any) -> Any:
    """Plain, finite and short: what is no number becomes null."""
    if isinstance(value, np.ndarray):
        return rounded(value.tolist())
    if isinstance(value, Mapping):
        return {str(key): rounded(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(part) for part in value]
    if isinstance(value, (float, np.floating)):
        return float(f"{value:.{DIGITS}g}") if np.isfinite(value) else None
    return value


def confident_mistakes(mistakes: Sequence[Mistake], most: int) -> list[Mistake]:
    """The most confident ones first; those of unknown confidence in their own order, last."""
    return sorted(mistakes, key=lambda one: -1.0 if one.confidence is None else one.confidence, reverse=True)[:most]


def curve(report: Report) -> list[Mapping[str, Any]]:
    """The checks of the training that can be drawn."""
    return [row for row in report.history if {"epoch", "train_loss", report.metric} <= set(row)]


def figure(value: float) -> str:
    """For people: four places, and as many as there must be of what is smaller."""
    return f"{value:.4f}" if value == 0 or abs(value) >= 0.01 else f"{value:.3g}"


def narrowed(found: Confusion, most: int) -> tuple[tuple[str, ...], NDArray[np.int64], NDArray[np.float64], int]:
    """The answers that are confused most, their counts, those as shares of all answers that should be so (also those
    that are not shown), and how many answers were left out.
    """
    counts = np.array(found.counts, dtype=np.int64)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    if len(found.labels) <= most:
        return found.labels, counts, shares, 0
    wrong = counts.sum(axis=0) + counts.sum(axis=1) - 2 * counts.diagonal()
    kept = np.sort(np.argsort(-wrong, kind="stable")[:most])
    square = np.ix_(kept, kept)
    return tuple(found.labels[k] for k in kept), counts[square], shares[square], len(found.labels) - most
