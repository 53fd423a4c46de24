"""What each word looked at, over the picture."""

from __future__ import annotations

import io

import numpy as np
import pytest
from matplotlib import image

from unrolled.inspection import attention
from unrolled.inspection.alignment import checked
from unrolled.inspection.attention_over_picture import COLUMNS, Looked, draw, over_picture_png, veil

PIXELS = np.full((4, 4, 3), 200, dtype=np.uint8)
SEEN = Looked(PIXELS, (2, 2))
ONE = checked(["1,1", "1,2", "2,1", "2,2"], ["cat", "<end>"], [[0, 0.75, 0.25, 0], [0.25, 0.25, 0.25, 0.25]])


def test_what_was_looked_at_most_is_clear_and_what_was_not_is_dark() -> None:
    cover = veil(ONE.weights[0], (2, 2))
    assert np.allclose(cover[:, :, 3], [[0.75, 0], [0.5, 0.75]])  # 0.75 * (1 - w / 0.75)
    assert not cover[:, :, :3].any()
    assert not veil(ONE.weights[1], (2, 2)).any()


def test_the_picture_stands_first_and_then_once_for_each_word() -> None:
    figure = draw("T", [ONE], [SEEN])
    plain, cat, end = figure.axes
    assert [len(axes.images) for axes in (plain, cat, end)] == [1, 2, 2]
    assert np.array_equal(np.asarray(plain.images[0].get_array()), PIXELS)
    assert np.allclose(np.asarray(cat.images[1].get_array()), veil(ONE.weights[0], (2, 2)))
    assert [axes.get_title() for axes in (cat, end)] == ["cat 0.75", "<end> 0.25"]
    figure.canvas.draw()
    corners = cat.transData.transform([[0, 0], [3, 0]]).round().astype(int)  # not looked at, and looked at most
    shown = image.imread(io.BytesIO(over_picture_png("T", [ONE], [SEEN])))
    dark, clear = (shown[len(shown) - y, x, :3].mean() for x, y in corners)
    assert clear == pytest.approx(200 / 255, abs=0.01)
    assert dark == pytest.approx(0.25 * 200 / 255, abs=0.01)


def test_a_long_caption_goes_on_in_the_next_line() -> None:
    words = [f"w{k}" for k in range(COLUMNS + 2)]
    long = checked(["1", "2", "3", "4"], words, np.full((len(words), 4), 0.25))
    figure = draw("T", [long, ONE], [SEEN, SEEN])
    assert len(figure.axes) == 3 * COLUMNS
    assert [axes.get_title() for axes in figure.axes if axes.get_title()][-2:] == ["cat 0.75", "<end> 0.25"]


def test_many_pictures_are_no_endless_one_and_it_says_so() -> None:
    figure = draw("T", [ONE] * 100, [SEEN] * 100)
    assert figure.get_suptitle() == "T (the first 80 of 100 pictures)"


def test_the_report_draws_pictures_where_there_are_some() -> None:
    triple = (ONE.source_tokens, ONE.target_tokens, ONE.weights)
    found = attention.of([triple], pictures=[tuple(SEEN)])
    assert found.to_json()["sentences"][0]["grid"] == [2, 2]
    assert 'src="data:image/png;base64,' in found.to_html()
    assert "img-src data:" in found.to_html()
    assert found.to_png() != attention.of([triple]).to_png()
    without = attention.of([triple], pictures=[None])
    assert "<img" not in without.to_html()
    assert without.to_png() == attention.of([triple]).to_png()
    assert "grid" not in without.to_json()["sentences"][0]
