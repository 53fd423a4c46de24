"""A report as one HTML page: what there is of each section, in words, tables and plots that answer to a finger.

The plots are plotly's, whose script stands in the page, so that it needs no network; their data are plain JSON here,
and the page's own few lines give them the colours of day or night.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from unrolled.inspection.alignment import Alignment, direction, legible
from unrolled.inspection.gates import Values
from unrolled.inspection.page import page, text
from unrolled.inspection.report import Mistake, Report, curve, figure, narrowed
from unrolled.inspection.report_plots import Plot, Plots, cell, head, line, numbers, plain, short
from unrolled.inspection.report_script import STYLE
from unrolled.inspection.saliency import FELT, Saliency

LABELS = 25
"""Answers that the confusion matrix has room for."""
NAMED_TICKS = 60
"""Elements, at most, that have room for their names at an axis."""
UNITS, ELEMENTS = 64, 200
"""Of a heat map: rows and columns, at most; of the elements the last ones, which are nearest to the answer."""
VARIANTS = 90
"""Heat maps to choose from, at most."""


def report_page(report: Report) -> str:
    """The page. What a user's data say is escaped in it, whatever it is."""
    plots = Plots()
    sections = [section for section in _sections(report, plots) if section]
    absent = "".join(f"<li><b>{text(name)}</b>: {text(why)}</li>" for name, why in report.absent.items())
    if absent:
        sections.append(_section("absent", "What is not here", "", f'<ul class="absent">{absent}</ul>'))
    links = "".join(f'<a href="#{name}">{text(title)}</a>' for name, title, _ in sections)
    body = f'<nav aria-label="Sections">{links}</nav><main>{"".join(html for *_, html in sections)}</main>'
    return page(report.title, report.facts, body, style=STYLE, script=plots.script(), pictures=True)


def _sections(report: Report, plots: Plots) -> Iterator[tuple[str, str, str] | None]:
    yield _figures(report)
    yield _curves(report, plots)
    yield _gradients(report, plots)
    yield _memory(report, plots)
    yield _means(report)
    yield _values(report, plots)
    yield _saliency(report.saliency)
    yield _attention(report.attention, plots)
    yield _mistakes(report)
    yield _confusion(report, plots)
    yield _calibration(report, plots)


def _section(name: str, title: str, note: str, body: str) -> tuple[str, str, str]:
    said = f"<p>{note}</p>" if note else ""
    return name, title, f'<section id="{name}"><h2>{text(title)}</h2>{said}{body}</section>'


def _figures(report: Report) -> tuple[str, str, str]:
    shown = {name: figure(value) for name, value in report.figures.items()}
    if report.findings:
        shown["gradients"] = report.verdict
    if report.calibration is not None:
        shown["calibration error"] = figure(report.calibration.error_before)
    cards = "".join(
        f"<div{' class=main' if name == report.metric else ''}><dt>{text(name.replace('_', ' '))}</dt>"
        f"<dd>{text(value)}</dd></div>"
        for name, value in shown.items()
    )
    return _section("summary", "Summary", "", f'<dl class="figures">{cards}</dl>')


def _curves(report: Report, plots: Plots) -> tuple[str, str, str] | None:
    rows = curve(report)
    if not rows:
        return None
    epochs = [row["epoch"] for row in rows]
    data = [
        line(epochs, [row["train_loss"] for row in rows], "training loss", "red"),
        line(epochs, [row[report.metric] for row in rows], f"validation {report.metric}", "blue", yaxis="y2"),
    ]
    layout = {
        "xaxis": {"title": {"text": "epochs"}},
        "yaxis": {"title": {"text": "training loss"}, "rangemode": "tozero"},
        "yaxis2": {
            "title": {"text": f"validation {plain(report.metric)}"},
            "overlaying": "y",
            "side": "right",
            "showgrid": False,
            "tickformat": ".3~f",
            "automargin": True,
        },
    }
    kept = [row for row in rows if row.get("best")]
    note = f"Kept: the weights after {kept[-1]['epoch']:.2f} epochs." if kept else ""
    place = plots.place("curves", [("", {"data": data, "layout": layout})], height=340, says="training curves")
    return _section("training", "Training", note, place)


def _gradients(report: Report, plots: Plots) -> tuple[str, str, str] | None:
    if report.flow is None or not report.flow.flows:
        return None
    data = []
    for number, flow in enumerate(report.flow.flows):
        low, middle, high = (numbers(curve) for curve in flow.quantiles(0.1, 0.5, 0.9))
        lags = list(range(len(middle)))
        name, color = plain(f"{cell(flow.layer)} d{flow.tensor}"), f"@{number % 6}"
        band = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False, "legendgroup": name}
        data += [
            {"x": lags, "y": low, **band},
            {"x": lags, "y": high, "fill": "tonexty", "fillcolor": f"{color}/0.15", **band},
            {"x": lags, "y": middle, "mode": "lines", "name": name, "line": {"color": color}, "legendgroup": name},
        ]
    layout = {
        "xaxis": {"title": {"text": "elements back from the loss"}},
        "yaxis": {
            "type": "log",
            "title": {"text": "gradient that is left"},
            "exponentformat": "power",
            "dtick": _decades(data),
        },
    }
    place = plots.place("flow", [("", {"data": data, "layout": layout})], height=380, says="gradient against distance")
    found = "".join(
        f"<tr><td>{text(f.where)}</td><td><b>{text(f.kind)}</b></td><td>{text(f.because)}</td></tr>"
        for f in report.findings
    )
    table = f'<table class="rows">{head("cell", "verdict", "because")}<tbody>{found}</tbody></table>'
    note = (
        "How much of the gradient is left so many elements back from where the loss is felt: the median of the "
        "examples, and the range of eight in ten. A straight line down is a gradient that vanishes."
    )
    return _section("gradients", "Gradient flow", note, place + (table if found else ""))


def _decades(traces: Sequence[Mapping[str, Any]]) -> int:
    """From one label of a logarithmic axis to the next, so that there are eight at most."""
    shown = [value for trace in traces for value in trace["y"] if value]
    span = math.log10(max(shown) / min(shown)) if shown else 0.0
    return max(1, math.ceil(span / 8))


def _memory(report: Report, plots: Plots) -> tuple[str, str, str] | None:
    if report.memory is None:
        return None
    lags = [k for k, count in enumerate(report.memory.examples) if count]
    moved = numbers([report.memory.moved[k] for k in lags])
    layout = {
        "xaxis": {"title": {"text": "elements back from the last"}},
        "yaxis": {"title": {"text": "answer moved (total variation)"}, "rangemode": "tozero"},
    }
    plot = {"data": [line(lags, moved, "moved", "blue")], "layout": layout}
    end = report.memory.horizon
    far = "No change is felt." if end < 0 else f"A change is felt up to {end} elements before the last."
    note = f"How far the answer about the last element moves where one before it is another one. {far} ({FELT:.0%}.)"
    place = plots.place("memory", [("", plot)], height=300, says="movement against distance")
    return _section("memory", "Memory", note, place)


def _means(report: Report) -> tuple[str, str, str] | None:
    if not report.means:
        return None
    rows = "".join(
        f'<tr><td>{text(cell(layer))}</td><td>{text(name)}</td><td data-is="mean">{mean:.3f}</td>'
        f'<td data-is="shut">{"" if shut is None else f"{shut:.0%}"}</td>'
        f'<td data-is="open">{"" if wide is None else f"{wide:.0%}"}</td></tr>'
        for layer, name, mean, shut, wide in report.means
    )
    table = f'<table class="rows">{head("cell", "gate or state", "mean", "shut", "open")}<tbody>{rows}</tbody></table>'
    note = (
        "Means over all units and elements; shut and open are the shares below 0.1 and above 0.9 (of values around 0: "
        "beyond −0.9 and 0.9)."
    )
    return _section("gates", "Gates and states", note, table)


def _values(report: Report, plots: Plots) -> tuple[str, str, str] | None:
    variants = [
        (f"{name} · {cell(values.layer)} · {short(one.title)}", _heat(values, name))
        for one in report.shown
        for values in one.values
        for name in values.of
    ]
    if not variants:
        return None
    cut = any(
        len(v.elements) > ELEMENTS or v.of[name].shape[1] > UNITS
        for one in report.shown
        for v in one.values
        for name in v.of
    )
    parts = f" Of long examples the last {ELEMENTS} elements, of wide cells the first {UNITS} units." if cut else ""
    left = f" {len(variants) - VARIANTS} more are left out." if len(variants) > VARIANTS else ""
    note = (
        "Units (down) at elements (across). A state is blue above zero and red below it; a gate is pale where it is "
        f"shut.{parts}{left}"
    )
    place = plots.place("values", variants[:VARIANTS], height=460, says="values of gates and states")
    return _section("values", "Inside the examples", note, place)


def _heat(values: Values, name: str) -> Plot:
    shown = np.nan_to_num(values.of[name][-ELEMENTS:, :UNITS].T, posinf=0.0, neginf=0.0)
    signed = bool(shown.min() < 0)
    widest = float(np.abs(shown).max()) or 1.0
    elements = [short(legible(e), 30) for e in values.elements[-ELEMENTS:]]
    heat = {
        "type": "heatmap",
        "z": np.round(shown.astype(np.float64), 3).tolist(),
        "colorscale": [[0, "@red"], [0.5, "@card"], [1, "@blue"]] if signed else [[0, "@card"], [1, "@blue"]],
        "zmin": -widest if signed else 0,
        "zmax": widest if signed else max(widest, 1.0),
        "names": [plain(e) for e in elements],
        "hovertemplate": "%{text}<br>unit %{y}: %{z}<extra></extra>",
    }
    layout = {"xaxis": _elements_axis(elements), "yaxis": {"title": {"text": "unit"}}}
    return {"data": [heat], "layout": layout}


def _elements_axis(elements: Sequence[str]) -> dict[str, Any]:
    if len(elements) > NAMED_TICKS:
        return {"title": {"text": "element"}}
    names = [plain(short(legible(e), 16)) for e in elements]
    return {"tickvals": list(range(len(elements))), "ticktext": names, "tickangle": -60, "automargin": True}


def _saliency(every: Sequence[Saliency]) -> tuple[str, str, str] | None:
    if not every:
        return None
    parts = []
    for one in every:
        widest = float(np.nanmax(np.abs(one.gradients), initial=0.0)) or 1.0
        last = slice(-ELEMENTS, None)
        words = "".join(
            f'<span class="w {"for" if g > 0 else "against"}" style="--a:{abs(g) / widest:.2f}" '
            f'title="{g:+.3f}; without it {-o:+.3f}"><bdi>{text(short(legible(e), 30))}</bdi></span> '
            for e, g, o in zip(one.elements[last], one.gradients[last], one.occlusion[last], strict=True)
        )
        words = f"… {words}" if len(one.elements) > ELEMENTS else words
        said = f"<b>{text(one.answer)}</b> with probability {math.exp(one.log_probability):.3f}"
        parts.append(f'<div class="salient"><h3>{said}</h3><p dir="{direction(one.elements)}">{words}</p></div>')
    note = (
        "What each answer rests on, by integrated gradients: blue speaks for it, red against it. Point at an element "
        "for its figure, and for what leaving it out does."
    )
    return _section("saliency", "What the answers rest on", note, "".join(parts))


def _attention(every: Sequence[Alignment], plots: Plots) -> tuple[str, str, str] | None:
    variants = []
    for one in every:
        if not one.target_tokens:
            continue
        heat = {
            "type": "heatmap",
            "z": np.round(one.weights[:ELEMENTS, :ELEMENTS], 3).tolist(),
            "colorscale": [[0, "@card"], [1, "@blue"]],
            "zmin": 0,
            "zmax": 1,
            "hovertemplate": "%{z}<extra></extra>",
        }
        layout = {
            "xaxis": _elements_axis(one.source_tokens[:ELEMENTS]),
            "yaxis": {**_elements_axis(one.target_tokens[:ELEMENTS]), "autorange": "reversed", "tickangle": 0},
        }
        variants.append((short(" ".join(map(legible, one.source_tokens))), {"data": [heat], "layout": layout}))
    if not variants:
        return None
    note = "What each word that was written (down) looked at in what was read (across)."
    place = plots.place("attention", variants, height=460, says="attention weights")
    return _section("attention", "Attention", note, place)


def _mistakes(report: Report) -> tuple[str, str, str] | None:
    if not report.mistakes:
        return None
    rows = "".join(_mistake(one) for one in report.mistakes)
    top = head("confidence", "said", "right", "about", "where")
    note = "The answers that were wrong, the surest of themselves first."
    return _section("mistakes", "Mistakes", note, f'<table class="rows">{top}<tbody>{rows}</tbody></table>')


def _mistake(one: Mistake) -> str:
    sure = "" if one.confidence is None else f"{one.confidence:.3f}"
    parts = {"said": one.said, "right": one.right}
    told = "".join(f'<td data-is="{name}"><bdi>{text(part)}</bdi></td>' for name, part in parts.items())
    return (
        f'<tr><td>{sure}</td>{told}<td class="about"><bdi>{text(one.about)}</bdi></td><td>{text(one.place)}</td></tr>'
    )


def _confusion(report: Report, plots: Plots) -> tuple[str, str, str] | None:
    if report.confusion is None:
        return None
    labels, counts, shares, left = narrowed(report.confusion, LABELS)
    names = [plain(short(legible(label), 18)) for label in labels]
    places = list(range(len(labels)))
    axis = {"tickvals": places, "ticktext": names, "automargin": True}
    heat = {
        "type": "heatmap",
        "z": shares.tolist(),
        "text": counts.tolist(),
        "texttemplate": "%{text}" if len(labels) <= 12 else "",
        "customdata": [[[plain(legible(r)), plain(legible(s))] for s in labels] for r in labels],
        "colorscale": [[0, "@card"], [1, "@blue"]],
        "zmin": 0,
        "zmax": 1,
        "hovertemplate": "right %{customdata[0]}, said %{customdata[1]}: %{text} (%{z:.1%})<extra></extra>",
    }
    layout = {
        "xaxis": {"title": {"text": "said"}, "tickangle": -45, **axis},
        "yaxis": {"title": {"text": "right"}, "autorange": "reversed", **axis},
    }
    rest = f" The {len(labels)} that are confused most; {left} others are left out." if left else ""
    note = f"Which answer is taken for which: counts, coloured by their share of the row.{rest}"
    place = plots.place("confusion", [("", {"data": [heat], "layout": layout})], height=480, says="confusion matrix")
    return _section("confusion", "Confusion", note, place)


def _calibration(report: Report, plots: Plots) -> tuple[str, str, str] | None:
    found = report.calibration
    if found is None:
        return None
    ideal = {"x": [0, 1], "y": [0, 1], "mode": "lines", "line": {"color": "@soft", "dash": "dot"}, "name": "ideal"}
    data: list[dict[str, Any]] = [ideal]
    for name, bins, color in (("as it is", found.before, "red"), ("at that temperature", found.after, "blue")):
        drawn = line([b.confidence for b in bins], [b.accuracy for b in bins], name, color)
        sizes = [6 + 14 * math.sqrt(b.size / found.measured) for b in bins]
        told = [f"{b.size:,} answers" for b in bins]
        data.append({**drawn, "mode": "lines+markers", "marker": {"size": sizes, "color": f"@{color}"}, "text": told})
    layout = {
        "xaxis": {"title": {"text": "confidence"}, "range": [0, 1.02]},
        "yaxis": {"title": {"text": "share that is right"}, "range": [0, 1.02]},
    }
    mood = "too sure of itself" if found.temperature > 1 else "too modest"
    note = (
        f"Of answers given with confidence 0.8, are 80 % right? The expected calibration error of {found.measured:,} "
        f"answers is {found.error_before:.4f}; at temperature {found.temperature:.3f}, fitted on {found.fitted:,} of "
        f"the validation split, {found.error_after:.4f}. The model is {mood}."
    )
    if found.left_out:
        note += f" {found.left_out:,} examples with an answer that training never saw are left out."
    place = plots.place("calibration", [("", {"data": data, "layout": layout})], height=420, says="reliability diagram")
    return _section("calibration", "Calibration", note, place)


__all__ = ["report_page"]
