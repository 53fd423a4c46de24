"""Attention over pictures as a PNG: the picture, and beside it, word by word, what of it was looked at.

What a word looked at most stands as it is; the less it looked at a place, the darker that is. The
number beside a word is its largest weight, so that a look at everything alike is told from one at a single place.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unrolled.inspection.alignment import Alignment, legible
from unrolled.inspection.attention_picture import BOX, HIGHEST, fonts_for

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIDE, COLUMNS = 1.25, 8
"""Inches of a picture with its word, and how many stand beside each other."""
DARKEST = 0.75
"""How much of a place is covered that was not looked at."""
LONGEST_LABEL = 16


class Looked(NamedTuple):
    """pixels: (height, width, 3), bytes; grid: rows and columns of the places that attention looks at."""

    pixels: NDArray[np.uint8]
    grid: tuple[int, int]


def over_picture_png(title: str, alignments: Sequence[Alignment], pictures: Sequence[Looked | None]) -> bytes:
    """The picture, 120 dots an inch. Where not all examples fit into one it says how many there are."""
    made = io.BytesIO()
    draw(title, alignments, pictures).savefig(made, format="png")
    return made.getvalue()


def draw(title: str, alignments: Sequence[Alignment], pictures: Sequence[Looked | None]) -> Figure:
    """The figure before it is a PNG: of each example its picture and its words, as many as fit, at least one."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    pairs = [(one, seen) for one, seen in zip(alignments, pictures, strict=True) if seen is not None]
    lines = [-(-(1 + len(one.target_tokens)) // COLUMNS) for one, _ in pairs]
    fit = max(1, int(sum(total * SIDE <= HIGHEST for total in np.cumsum(lines))))
    if fit < len(pairs):
        title = f"{title} (the first {fit} of {len(pairs)} pictures)"
    pairs, lines = pairs[:fit], lines[:fit]
    labels = [legible(token) for one, _ in pairs for token in one.target_tokens]
    fonts, missing = fonts_for({sign for label in [legible(title), "…", *labels] for sign in label})
    columns = min(COLUMNS, 1 + max(len(one.target_tokens) for one, _ in pairs))
    figure = Figure(figsize=(max(columns * SIDE, 0.09 * len(title)), sum(lines) * SIDE + 0.6), dpi=120)
    FigureCanvasAgg(figure)
    figure.set_layout_engine("constrained")
    style: dict[str, Any] = {"fontfamily": fonts, "parse_math": False}
    figure.suptitle(_drawable(legible(title), missing), fontsize=11, **style)
    axes = figure.subplots(sum(lines), columns, squeeze=False)
    for each in axes.flat:
        each.set_axis_off()
    first = 0
    for (one, seen), count in zip(pairs, lines, strict=True):
        here = list(axes[first : first + count].flat)
        here[0].imshow(seen.pixels, interpolation="nearest")
        for place, token, row in zip(here[1:], one.target_tokens, one.weights, strict=False):
            _look(place, seen, row)
            name = legible(token)
            name = name if len(name) <= LONGEST_LABEL else name[: LONGEST_LABEL - 1] + "…"
            place.set_title(f"{_drawable(name, missing)} {row.max():.2f}", fontsize=8, **style)
        first += count
    return figure


def veil(weights: NDArray[Any], grid: tuple[int, int]) -> NDArray[np.float64]:
    """Black over each place of a grid, (rows, columns, 4): none over the one that was looked at most."""
    most = float(weights.max())
    share = np.asarray(weights, dtype=np.float64) / most if most > 0 else np.zeros(len(weights))
    found = np.zeros((*grid, 4))
    found[:, :, 3] = DARKEST * (1 - share.reshape(grid))
    return found


def _look(axes: Axes, seen: Looked, weights: NDArray[Any]) -> None:
    height, width = seen.pixels.shape[:2]
    axes.imshow(seen.pixels, interpolation="nearest")
    extent = (-0.5, width - 0.5, height - 0.5, -0.5)
    axes.imshow(veil(weights, seen.grid), interpolation="nearest", extent=extent, aspect="equal")


def _drawable(label: str, missing: set[str]) -> str:
    return "".join(BOX if sign in missing else sign for sign in label)
