"""Where the steps of a series stand in their files."""

from __future__ import annotations

from pathlib import Path

import pytest

from unrolled.data.examples import Series
from unrolled.data.reading import read
from unrolled.data.splits import continued
from unrolled.errors import BadData
from unrolled.tasks._windows import clock_of


def series_of(path: Path, text: str) -> Series:
    path.write_text(text)
    (found,) = read(path, Series)
    return found


def test_a_gap_is_found_in_its_line_behind_empty_lines_and_cells_of_several(tmp_path: Path) -> None:
    text = 'time,value,note\n1,5,a\n\n2,6,"two\nlines"\n3,7,b\n5,8,c\n6,9,d\n'
    with pytest.raises(BadData, match=r"a\.csv:7: a gap in the series: 5 follows 3, where a step is 1"):
        clock_of(series_of(tmp_path / "a.csv", text), may_lack=False)


def test_a_gap_in_a_later_part_is_found_in_the_file_of_that_part(tmp_path: Path) -> None:
    train = series_of(tmp_path / "train.csv", "time,value\n1,5\n2,6\n3,7\n4,7\n")
    (valid,) = continued([train], [series_of(tmp_path / "valid.csv", "time,value\n5,1\n6,1\n8,2\n")])
    with pytest.raises(BadData, match=r"valid\.csv:4: a gap in the series: 8 follows 6"):
        clock_of(valid, may_lack=False)
    clock_of(valid.upto(6), may_lack=False)
    (late,) = continued([train.upto(3)], [series_of(tmp_path / "late.csv", "time,value\n5,1\n6,1\n")])
    with pytest.raises(BadData, match=r"late\.csv:2: a gap in the series: 5 follows 3"):
        clock_of(late, may_lack=False)


def test_a_step_of_no_line_is_named_by_its_number() -> None:
    made = Series(values=[1.0, 2.0, 3.0], time=("1", "2", "4"), series="made")  # type: ignore[arg-type]
    with pytest.raises(BadData, match=r"^step 3: a gap in the series 'made': 4 follows 2"):
        clock_of(made, may_lack=False)
