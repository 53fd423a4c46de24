"""Attention as a PNG: a heat map a sentence, source across and target down.

Tokens are any text: no mathematics is read into them, and a character that no font here has becomes an empty box.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from unrolled.inspection.alignment import Alignment, legible

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CELL, LONGEST_SIDE, HIGHEST = 0.3, 30.0, 100.0
"""In inches: a cell; the longer side of a heat map, for which its cells become smaller; all heat maps together."""
LETTER = 0.085
LONGEST_LABEL = 24
BOX = "\u25af"
FONT = "DejaVu Sans"
"""Comes with matplotlib, and has the box."""


def attention_png(title: str, alignments: Sequence[Alignment]) -> bytes:
    """The picture, 120 dots an inch. Where not all sentences fit into one it says how many there are."""
    picture = io.BytesIO()
    draw(title, alignments).savefig(picture, format="png")
    return picture.getvalue()


def draw(title: str, alignments: Sequence[Alignment]) -> Figure:
    """The figure before it is a PNG: one axes a sentence, as many as fit, at least one."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    sizes = [_size(one) for one in alignments]
    fit = sum(total <= HIGHEST for total in np.cumsum([height for _, height in sizes]))
    shown = list(alignments[: max(1, fit)])
    sizes = sizes[: len(shown)]
    if len(shown) < len(alignments):
        title = f"{title} (the first {len(shown)} of {len(alignments)} sentences)"
    labels = [[_label(t) for t in (*one.source_tokens, *one.target_tokens)] for one in shown]
    fonts, missing = fonts_for({sign for each in [[legible(title)], *labels] for label in each for sign in label})
    width = max(max(width for width, _ in sizes), 0.09 * len(title))
    figure = Figure(figsize=(width, sum(h for _, h in sizes) + 0.6), dpi=120)
    FigureCanvasAgg(figure)
    figure.set_layout_engine("constrained", w_pad=0.12, h_pad=0.1)
    figure.suptitle(_drawable(legible(title), missing), parse_math=False, fontfamily=fonts, fontsize=11)
    rows = figure.subplots(len(shown), 1, squeeze=False, gridspec_kw={"height_ratios": [h for _, h in sizes]})
    for axes, one, names in zip(rows[:, 0], shown, labels, strict=True):
        _heat_map(axes, one, [_drawable(name, missing) for name in names], fonts)
    return figure


def _size(one: Alignment) -> tuple[float, float]:
    """Width and height of a sentence's axes with its labels, in inches."""
    cell = _cell(one)
    room = [LETTER * max((len(_label(t)) for t in each), default=1) for each in (one.target_tokens, one.source_tokens)]
    return len(one.source_tokens) * cell + room[0] + 0.6, max(1, len(one.target_tokens)) * cell + room[1] + 0.4


def _cell(one: Alignment) -> float:
    return min(CELL, LONGEST_SIDE / max(len(one.source_tokens), len(one.target_tokens)))


def _heat_map(axes: Axes, one: Alignment, names: list[str], fonts: list[str]) -> None:
    source = len(one.source_tokens)
    # Where the cells are narrower than a line of text, not every one is named.
    every = max(1, round(0.13 / _cell(one)))
    style: dict[str, Any] = {"fontfamily": fonts, "fontsize": 8 if _cell(one) > 0.15 else 6, "parse_math": False}
    if one.target_tokens:
        axes.imshow(one.weights, cmap="Blues", vmin=0, vmax=1, aspect="equal", interpolation="nearest")
    else:
        axes.text(0.5, 0.5, "nothing was written", ha="center", va="center", transform=axes.transAxes)
    axes.set_xticks(range(0, source, every), names[:source:every], rotation=90, **style)
    axes.set_yticks(range(0, len(one.target_tokens), every), names[source::every], **style)
    axes.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
    axes.set_xticks(np.arange(-0.5, source), minor=True)
    axes.set_yticks(np.arange(-0.5, len(one.target_tokens)), minor=True)
    axes.grid(which="minor", color="white", linewidth=0.6 if every == 1 else 0)
    axes.tick_params(which="minor", length=0, top=False)
    axes.spines[:].set_color("#c9c5bc")


def _label(token: str) -> str:
    shown = legible(token)
    return shown if len(shown) <= LONGEST_LABEL else shown[: LONGEST_LABEL - 1] + "…"


def _drawable(label: str, missing: set[str]) -> str:
    return "".join(BOX if sign in missing else sign for sign in label)


def fonts_for(signs: set[str]) -> tuple[list[str], set[str]]:
    """Font families that together have these characters, as far as any here has them; and the characters left over."""
    from matplotlib import font_manager

    families = [FONT]
    left = signs - _charmap(font_manager.findfont(FONT))
    if not left:
        return families, left
    names = {f.name for f in font_manager.fontManager.ttflist if f.style == "normal" and f.weight in (400, "normal")}
    # Noto's faces are made for this; a "last resort" font has every character and draws none of them.
    usable = [name for name in names - {FONT} if "last resort" not in name.casefold()]
    for name in sorted(usable, key=lambda name: (not name.startswith("Noto Sans"), not name.startswith("Noto"), name)):
        if not left:
            break
        # Asked for by its name, as the drawing will: of files that share one, which has the character matters.
        if found := left & _charmap(font_manager.findfont(name)):
            families.append(name)
            left -= found
    return families, left


def _charmap(path: str) -> set[str]:
    from matplotlib.ft2font import FT2Font

    try:
        return set(map(chr, FT2Font(path).get_charmap()))
    except (OSError, RuntimeError, ValueError):
        return set()  # a font file that cannot be read offers nothing
