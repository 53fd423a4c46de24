"""The heat map of attention: its data, its labels, and characters that no font has. Warnings are errors here."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib import font_manager, image

from unrolled.inspection.alignment import Alignment, checked
from unrolled.inspection.attention_picture import BOX, HIGHEST, attention_png, draw, fonts_for

# Private use: STIX, which matplotlib brings along, draws something there that DejaVu does not.
ONLY_STIX = "\ue000"


def random(source: int, target: int, name: str = "w") -> Alignment:
    weights = np.random.default_rng(0).dirichlet(np.ones(source), target)
    return checked([f"{name}{s}" for s in range(source)], [f"{name}{t}" for t in range(target)], weights)


def test_source_goes_across_and_target_down() -> None:
    one = checked(["a", "b", "c"], ["x", "y"], [[1, 0, 0], [0, 0.25, 0.75]])
    (axes,) = draw("T", [one]).axes
    (shown,) = axes.images
    assert np.asarray(shown.get_array()).tolist() == [[1, 0, 0], [0, 0.25, 0.75]]
    assert shown.get_clim() == (0, 1)
    assert [label.get_text() for label in axes.get_xticklabels()] == ["a", "b", "c"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["x", "y"]
    assert axes.get_ylim()[0] > axes.get_ylim()[1]


def test_more_attention_is_darker_in_the_file() -> None:
    picture = image.imread(io.BytesIO(attention_png("T", [checked("ab", "xy", [[1, 0], [0, 1]])])))
    figure = draw("T", [checked("ab", "xy", [[1, 0], [0, 1]])])
    figure.canvas.draw()
    at = figure.axes[0].transData.transform([[0, 0], [1, 0], [0, 1], [1, 1]]).round().astype(int)
    brightness = [picture[picture.shape[0] - y, x, :3].mean() for x, y in at]
    assert max(brightness[0], brightness[3]) < 0.4 < 0.9 < min(brightness[1], brightness[2])


@pytest.mark.parametrize(
    "token",
    [
        "$x_1$",
        "$\\frac$",
        "犬",
        "안녕",
        "👩\u200d🚀",
        "الكلب",
        "שלום",
        "\U0010fffd",
        "\ud800",
        "",
        " ",
        "a\nb",
        "</s>",
        "\x00",
    ],
)
def test_any_token_can_be_drawn(token: str) -> None:
    assert attention_png(token, [checked([token, "b"], [token], [[0.5, 0.5]])]).startswith(b"\x89PNG")


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """As if these fonts and DejaVu Sans were all that there is."""

    def leave(*entries: font_manager.FontEntry) -> None:
        dejavu = [font for font in font_manager.fontManager.ttflist if font.name == "DejaVu Sans"]
        monkeypatch.setattr(font_manager.fontManager, "ttflist", [*dejavu, *entries])

    return leave


def test_a_character_that_no_font_has_becomes_a_box(only: Callable[..., None]) -> None:
    only()
    assert fonts_for(set("aß犬")) == (["DejaVu Sans"], {"犬"})
    (axes,) = draw("T", [checked(["犬s", "b"], ["x"], [[0.5, 0.5]])]).axes
    assert axes.get_xticklabels()[0].get_text() == f"{BOX}s"


def test_another_font_helps_out_where_it_can() -> None:
    families, missing = fonts_for({"a", ONLY_STIX})
    assert families[0] == "DejaVu Sans"
    assert len(families) == 2
    assert not missing
    (axes,) = draw("T", [checked([ONLY_STIX], ["x"], [[1]])]).axes
    assert axes.get_xticklabels()[0].get_fontfamily() == families
    assert axes.get_xticklabels()[0].get_text() == ONLY_STIX


def test_a_font_that_cannot_be_read_is_passed_over(tmp_path: Path, only: Callable[..., None]) -> None:
    broken = tmp_path / "broken.ttf"
    broken.write_bytes(b"no font")
    only(font_manager.FontEntry(fname=str(broken), name="Noto Sans Broken", style="normal", weight=400))
    assert fonts_for({"犬"}) == (["DejaVu Sans"], {"犬"})


def test_long_sentences_are_named_in_part_and_stay_small() -> None:
    figure = draw("T", [random(600, 20)])
    labels = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert labels == [f"w{s}" for s in range(0, 600, 3)]
    assert max(figure.get_size_inches()) < 35


def test_a_long_token_is_cut() -> None:
    (axes,) = draw("T", [checked(["a" * 100], ["x"], [[1]])]).axes
    assert axes.get_xticklabels()[0].get_text() == "a" * 23 + "…"


def test_of_many_sentences_as_many_are_drawn_as_fit_and_it_is_said() -> None:
    many = [random(80, 80) for _ in range(9)]
    figure = draw("T", many)
    drawn = len(figure.axes)
    assert 1 < drawn < 9
    assert figure.get_size_inches()[1] <= HIGHEST + 1
    assert figure.get_suptitle() == f"T (the first {drawn} of 9 sentences)"
    assert draw("T", many[:2]).get_suptitle() == "T"


def test_an_empty_translation_has_a_place() -> None:
    (axes,) = draw("T", [checked("ab", "", [])]).axes
    assert [text.get_text() for text in axes.texts] == ["nothing was written"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["a", "b"]
