"""A report's plots as PNGs, for papers: each by its name, 200 dots an inch."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from unrolled.inspection.report import Report, curve, narrowed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BLUE, RED, SOFT = "#2a6fb5", "#b04626", "#656c75"
LABELS = 25


def pictures(report: Report) -> dict[str, bytes]:
    """Name -> PNG, of all that there is something to draw of."""
    known: dict[str, tuple[Any, Callable[[Axes, Report], None]]] = {
        "training": (curve(report), _training),
        "gradient_flow": (report.flow and report.flow.flows, _flow),
        "memory": (report.memory, _memory),
        "confusion": (report.confusion, _confusion),
        "calibration": (report.calibration, _calibration),
    }
    return {name: _drawn(report, draw) for name, (there, draw) in known.items() if there}


def _drawn(report: Report, draw: Callable[[Axes, Report], None]) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), dpi=200, layout="constrained")
    FigureCanvasAgg(figure)
    draw(figure.add_subplot(), report)
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    return picture.getvalue()


def _training(axes: Axes, report: Report) -> None:
    rows = curve(report)
    epochs = [row["epoch"] for row in rows]
    axes.plot(epochs, [row["train_loss"] for row in rows], color=RED, marker=".")
    axes.set_xlabel("epochs")
    axes.set_ylabel("training loss", color=RED)
    right = axes.twinx()
    right.plot(epochs, [row[report.metric] for row in rows], color=BLUE, marker=".")
    right.set_ylabel(f"validation {report.metric}", color=BLUE)


def _flow(axes: Axes, report: Report) -> None:
    assert report.flow is not None
    for flow in report.flow.flows:
        low, middle, high = flow.quantiles(0.1, 0.5, 0.9)
        lags = np.arange(len(middle))
        (line,) = axes.plot(lags, middle, label=f"{flow.layer.removesuffix('.cell')} d{flow.tensor}")
        axes.fill_between(lags, low, high, color=line.get_color(), alpha=0.15, linewidth=0)
    axes.set_yscale("log")
    axes.set_xlabel("elements back from the loss")
    axes.set_ylabel("gradient, of what it is at the loss")
    axes.grid(alpha=0.25)
    axes.legend(fontsize=7)


def _memory(axes: Axes, report: Report) -> None:
    assert report.memory is not None
    lags = np.flatnonzero(report.memory.examples)
    axes.plot(lags, report.memory.moved[lags], color=BLUE)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("elements back from the last")
    axes.set_ylabel("answer moved (total variation)")
    axes.grid(alpha=0.25)


def _confusion(axes: Axes, report: Report) -> None:
    assert report.confusion is not None
    labels, counts, shares, _ = narrowed(report.confusion, LABELS)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    names = [label if len(label) <= 18 else label[:17] + "…" for label in labels]
    axes.set_xticks(range(len(labels)), names, rotation=60, ha="right", fontsize=7, parse_math=False)
    axes.set_yticks(range(len(labels)), names, fontsize=7, parse_math=False)
    axes.set_xlabel("said")
    axes.set_ylabel("right")
    if len(labels) <= 12:
        for row, column in np.ndindex(counts.shape):
            dark = shares[row, column] > 0.5
            axes.text(column, row, f"{counts[row, column]}", ha="center", va="center", fontsize=7,
                      color="white" if dark else "black")  # fmt: skip


def _calibration(axes: Axes, report: Report) -> None:
    found = report.calibration
    assert found is not None
    axes.plot([0, 1], [0, 1], color=SOFT, linestyle=":")
    after = f"temperature {found.temperature:.2f}: {found.error_after:.4f}"
    for bins, color, name in ((found.before, RED, f"as it is: {found.error_before:.4f}"), (found.after, BLUE, after)):
        axes.plot([b.confidence for b in bins], [b.accuracy for b in bins], color=color, marker="o", label=name)
    axes.set_xlabel("confidence")
    axes.set_ylabel("share that is right")
    axes.legend(title="calibration error")
    axes.grid(alpha=0.25)
