"""The checks of a training as rows: `history.csv`, and a picture of it."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from unrolled.errors import BadData
from unrolled.files import locate
from unrolled.training.events import Check

FILE = "history.csv"


class History:
    """One row a check: step, epoch, train_loss, seconds, best, and the task's figures on the validation split."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def add(self, check: Check) -> None:
        """Append a check."""
        self.rows.append(
            {
                "step": check.step,
                "epoch": round(check.epoch, 4),
                "train_loss": check.train_loss,
                "seconds": round(check.seconds, 2),
                "best": check.best,
                **check.scores,
            }
        )

    def forget_after(self, step: int) -> None:
        """Drop the checks that a resumed run will make again."""
        self.rows = [row for row in self.rows if row["step"] <= step]

    @property
    def best(self) -> dict[str, float]:
        """The validation figures of the weights that were kept."""
        kept = [row for row in self.rows if row["best"]]
        known = ("step", "epoch", "train_loss", "seconds", "best")
        return {name: value for name, value in kept[-1].items() if name not in known} if kept else {}

    def to_csv(self) -> bytes:
        """As CSV with a header."""
        columns = list(dict.fromkeys(name for row in self.rows for name in row))
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        return text.getvalue().encode()

    @classmethod
    def read(cls, folder: str | Path) -> History:
        """The history in a folder; empty where there is none. Raises `BadData` where it is not what was written."""
        history, path = cls(), locate(folder, FILE)
        if path.exists():
            with open(path, encoding="utf-8", newline="") as file:
                rows = csv.DictReader(file)
                try:
                    for row in rows:
                        history.rows.append({name: _value(name, text) for name, text in row.items() if text != ""})
                except (ValueError, KeyError, TypeError, csv.Error):
                    raise BadData("not a row of a training's history; remove the file", path, rows.line_num) from None
        return history

    def to_png(self, metric: str) -> bytes:
        """The training curve: loss in training, and the deciding figure in validation, against epochs."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7, 4), dpi=120, layout="constrained")
        FigureCanvasAgg(figure)
        left = figure.add_subplot()
        epochs = [row["epoch"] for row in self.rows]
        left.plot(epochs, [row["train_loss"] for row in self.rows], color="#b5482a", marker=".", label="training loss")
        left.set_xlabel("epochs")
        left.set_ylabel("training loss (nats a decision)", color="#b5482a")
        left.set_ylim(bottom=0)
        right = left.twinx()
        figures = [row.get(metric, float("nan")) for row in self.rows]
        right.plot(epochs, figures, color="#2a6fb5", marker=".", label=f"validation {metric}")
        right.set_ylabel(f"validation {metric}", color="#2a6fb5")
        kept = [row for row in self.rows if row["best"] and metric in row]
        if kept:
            epoch, reached = kept[-1]["epoch"], kept[-1][metric]
            right.plot([epoch], [reached], "o", mfc="none", ms=10, color="#2a6fb5")
            right.set_title(f"kept: {metric} {reached:.4f} after {epoch:.2f} epochs")
        left.grid(alpha=0.25)
        picture = io.BytesIO()
        figure.savefig(picture, format="png")
        return picture.getvalue()


def _value(name: str, text: str) -> Any:
    if name == "best":
        return {"True": True, "False": False}[text]
    return int(text) if name == "step" else float(text)
