"""The checks as rows, as a file, and as a picture."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from unrolled.errors import BadData
from unrolled.files import COMPLETE, STAGED
from unrolled.training.events import Check
from unrolled.training.history import FILE, History


def check(step: int, best: bool = True, **scores: float) -> Check:
    return Check(step, step / 7, step / 70, 1 / 3 / step, scores or {"accuracy": 0.1 * step}, best, 1.23456 * step)


def history(*checks: Check) -> History:
    made = History()
    for one in checks:
        made.add(one)
    return made


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    written = history(check(1), check(2, best=False), check(3, accuracy=0.1 + 0.2, f1=math.nan))
    (tmp_path / FILE).write_bytes(written.to_csv())
    again = History.read(tmp_path)
    assert [list(row) for row in again.rows] == [list(row) for row in written.rows]
    assert again.rows[:2] == written.rows[:2]
    assert again.rows[2]["accuracy"] == 0.1 + 0.2
    assert math.isnan(again.rows[2]["f1"])
    assert again.to_csv() == written.to_csv()


def test_the_file_has_a_header_and_a_row_a_check() -> None:
    assert history(check(2, best=False, accuracy=0.5)).to_csv().decode() == (
        f"step,epoch,train_loss,seconds,best,accuracy\n2,0.2857,{1 / 6},2.47,False,0.5\n"
    )


def test_a_folder_without_a_history_has_an_empty_one(tmp_path: Path) -> None:
    assert History.read(tmp_path).rows == []
    assert History.read(tmp_path / "absent").rows == []


def test_a_history_whose_writer_was_killed_half_way_is_read_from_where_it_is_whole(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(history(check(1)).to_csv())
    (tmp_path / STAGED).mkdir()
    (tmp_path / STAGED / FILE).write_bytes(history(check(1), check(2)).to_csv())
    assert len(History.read(tmp_path).rows) == 1
    (tmp_path / STAGED / COMPLETE).touch()
    assert len(History.read(tmp_path).rows) == 2


@pytest.mark.parametrize("line", ["2,0.3", "two,0.3,0.1,1.0,True,0.5", "2,0.3,0.1,1.0,yes,0.5", "1,1,1,1,True,1,1,1"])
def test_a_row_that_is_none_is_named(tmp_path: Path, line: str) -> None:
    good = "step,epoch,train_loss,seconds,best,accuracy\n1,0.1,0.2,0.3,True,0.4\n"
    (tmp_path / FILE).write_text(good + line + "\n")
    with pytest.raises(BadData) as error:
        History.read(tmp_path)
    assert str(error.value) == f"{tmp_path / FILE}:3: not a row of a training's history; remove the file"


def test_bytes_that_are_no_text_are_no_history(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"step,best\n\xff\xfe,True\n")
    with pytest.raises(BadData, match="not a row of a training's history"):
        History.read(tmp_path)


def test_checks_that_a_resumed_run_makes_again_are_forgotten() -> None:
    kept = history(check(1), check(2), check(3))
    kept.forget_after(2)
    assert [row["step"] for row in kept.rows] == [1, 2]
    kept.forget_after(0)
    assert kept.rows == []


def test_the_best_figures_are_those_of_the_last_best_check() -> None:
    assert history().best == {}
    assert history(check(1, accuracy=0.5), check(2, accuracy=0.75), check(3, best=False, accuracy=0.6)).best == {
        "accuracy": 0.75
    }


@pytest.mark.parametrize(
    "checks",
    [
        [check(1)],
        [check(1), check(2, best=False), check(3)],
        [check(1, best=False, accuracy=math.nan)],
        [check(1, other=0.5)],
    ],
)
def test_the_picture_is_a_png(checks: list[Check], tmp_path: Path) -> None:
    import matplotlib.image

    content = history(*checks).to_png("accuracy")
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    (tmp_path / "curve.png").write_bytes(content)
    pixels: Any = matplotlib.image.imread(tmp_path / "curve.png")
    assert pixels.shape[:2] == (480, 840)
    assert pixels.std() > 0  # something is drawn
