"""The plots of a report's page: where each stands in it, their data as JSON, and what the sections share."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from unrolled.inspection.page import text
from unrolled.inspection.report import rounded
from unrolled.inspection.report_script import SCRIPT

Plot = dict[str, Any]
"""What plotly draws: `data` (traces) and `layout`; colours are names of the page's, with @ before them."""


class Plots:
    """The plots of a page: each has a place in it, and one or several variants to choose from."""

    def __init__(self) -> None:
        self.every: dict[str, list[tuple[str, Plot]]] = {}

    def place(self, name: str, variants: Sequence[tuple[str, Plot]], *, height: int, says: str) -> str:
        """The HTML where a plot goes. variants: what each is called, and the plot; says: what is to be seen."""
        self.every[name] = list(variants)
        several = "".join(f'<option value="{k}">{text(title)}</option>' for k, (title, _) in enumerate(variants))
        choice = f'<label>show <select data-plot="{name}">{several}</select></label>' if len(variants) > 1 else ""
        return (
            f'{choice}<div class="plot" id="plot-{name}" role="img" aria-label="{text(says)}" '
            f'style="height:{height}px"></div>{_keys(name, variants[0][1])}'
        )

    def script(self) -> str:
        """Plotly, the data, and what draws them."""
        plain = rounded({name: [plot for _, plot in variants] for name, variants in self.every.items()})
        data = json.dumps(plain, ensure_ascii=True, allow_nan=False, separators=(",", ":")).replace("</", "<\\/")
        engine = (files("plotly") / "package_data" / "plotly.min.js").read_text(encoding="utf-8")
        return f"{engine}\n;const PLOTS = {data};\n{SCRIPT}"


def _keys(name: str, plot: Plot) -> str:
    """The legend of a plot with several named traces, a button each: outside of it, where there is room for many."""
    named = [trace["name"] for trace in plot["data"] if "name" in trace]
    if len(named) < 2:
        return ""
    buttons = "".join(
        f'<button type="button" aria-pressed="true" data-trace="{text(each)}"><i></i>{text(each)}</button>'
        for each in named
    )
    return f'<p class="keys" data-plot="{name}">{buttons}</p>'


def line(x: Sequence[Any], y: Sequence[Any], name: str, color: str, **more: Any) -> dict[str, Any]:
    """A trace. color: of the page's."""
    mode = "lines+markers" if len(x) < 60 else "lines"
    return {"x": x, "y": y, "mode": mode, "name": plain(name), "line": {"color": f"@{color}"}, **more}


def head(*names: str) -> str:
    """The head of a table."""
    cells = "".join(f'<th scope="col">{text(name)}</th>' for name in names)
    return f"<thead><tr>{cells}</tr></thead>"


def cell(layer: str) -> str:
    """A cell's path without what all have in common."""
    return layer.removesuffix(".cell")


def plain(label: str) -> str:
    """For plotly, which reads some tags in labels."""
    return label.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def short(label: str, most: int = 60) -> str:
    """A label, cut where it is longer."""
    return label if len(label) <= most else label[: most - 1] + "…"


def numbers(values: Any) -> list[float | None]:
    """What is not finite is a gap."""
    return [float(v) if math.isfinite(v) else None for v in values]
