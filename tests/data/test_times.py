"""Times in files: what they are read as, and that they are spelled again as they stood."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unrolled.data.times import EPOCH, Form, NoTime, readings


def dates(texts: list[str], way: int = 0) -> list[datetime]:
    """What they are in one of the ways to read them."""
    return [EPOCH + timedelta(microseconds=tick) for tick in list(readings(texts))[way].ticks.tolist()]


@pytest.mark.parametrize(
    "texts",
    [
        ["1", "2", "17"],
        ["-5", "0", "5"],
        ["008", "009", "010"],
        ["0.5", "1", "1.5"],
        ["0.50", "1.00", "1.50"],
        ["-0.5", "0.0", "0.5"],
        ["1700000000000000001", "1700000000000000002"],
        ["1949", "1950"],
        ["1949-01", "1949-02"],
        ["1949/1", "1949/12"],
        ["194901", "194902"],
        ["19490131", "19490201"],
        ["2024-01-31", "2024-02-01"],
        ["2024-1-31", "2024-2-1"],
        ["2024/01/31", "2024/02/01"],
        ["31.01.2024", "01.02.2024"],
        ["1/31/1981", "2/1/1981"],
        ["01/31/1981", "02/01/1981"],
        ["1/31/81", "2/1/81"],
        ["2014-07-01T22", "2014-07-01T23"],
        ["2014-07-01 9:30", "2014-07-01 10:00"],
        ["7/1/2014 09:30", "7/1/2014 10:00"],
        ["2014-07-01T22:00:00.250", "2014-07-01T22:00:00.500"],
        ["2014-07-01 22:00:00,000001", "2014-07-01 22:00:00,000002"],
        ["2014-07-01T22:00:00Z", "2014-07-01T23:00:00Z"],
        ["2014-07-01 22:00+02:00", "2014-07-01 23:00+02:00"],
        ["2014-07-01 22:00 +0530", "2014-07-01 23:00 +0530"],
        ["2014-07-01 22:00 UTC", "2014-07-01 23:00 UTC"],
    ],
    ids=lambda texts: texts[-1],
)
def test_times_are_spelled_as_they_stood(texts: list[str]) -> None:
    way = next(readings(texts))
    assert [way.spell(tick) for tick in way.ticks.tolist()] == texts


FORMS = st.builds(
    Form,
    st.sampled_from(["ymd", "mdy", "dmy"]),
    st.sampled_from("-/."),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["T", " "]),
    st.integers(0, 3),
    st.integers(0, 6),
    st.sampled_from(".,"),
    st.sampled_from(["", "Z", "+02:00", "-0530"]),
)
MOMENTS = st.lists(st.datetimes(datetime(1969, 1, 1), datetime(2068, 12, 31)), min_size=1, max_size=5)


@given(FORMS, MOMENTS)
def test_what_is_spelled_in_a_form_can_be_read_in_it(form: Form, moments: list[datetime]) -> None:
    if form.shown < 3:
        form = form._replace(digits=0)
    if not form.shown:
        form = form._replace(zone="")
    if form.short and form.order == "ymd":
        form = form._replace(short=False)
    ticks = [(moment - EPOCH) // timedelta(microseconds=1) for moment in moments]
    texts = [form.spell(tick) for tick in ticks]
    again = [[way.spell(tick) for tick in way.ticks.tolist()] for way in readings(texts)]
    assert texts in again
    unit = {0: 86400 * 10**6, 1: 3600 * 10**6, 2: 60 * 10**6, 3: 10 ** (6 - form.digits)}[form.shown]
    assert any((np.abs(way.ticks - ticks) <= unit).all() for way in readings(texts))


@pytest.mark.parametrize("hour", ["", "T00:30", " 23:59", " 10:20:30"])
def test_what_is_read_at_once_is_what_is_read_one_by_one(hour: str) -> None:
    days = [f"{year}-{month:02}-28{hour}" for year in (1066, 1949, 2024, 2900) for month in (1, 2, 12)]
    at_once, one_by_one = next(readings(days)), next(readings([day.replace("-", "/") for day in days]))
    assert at_once.ticks.tolist() == one_by_one.ticks.tolist()
    assert [at_once.spell(tick) for tick in at_once.ticks.tolist()] == days


def test_what_computing_adds_to_a_number_is_no_digit_of_it() -> None:
    way = next(readings([repr(0.1 * k) for k in range(1000)]))
    assert (way.per, way.ticks.tolist()) == (10, list(range(1000)))
    assert way.spell(1001) == "100.1"


@pytest.mark.parametrize(
    ("texts", "kinds"),
    [
        (["20240131", "20240201"], ["date", "number"]),
        (["202401", "202402"], ["month", "number"]),
        (["20240131", "20240232"], ["number"]),
        (["202412", "202413"], ["number"]),
        (["202400", "202500"], ["number"]),
        (["20240131", "202402"], ["number"]),
        (["50240131", "50240201"], ["number"]),
        (["2024", "2025"], ["year"]),
        (["2024", "3025"], ["number"]),
        (["2024-01", "2024-02"], ["month"]),
    ],
)
def test_digits_are_dates_where_they_can_be(texts: list[str], kinds: list[str]) -> None:
    assert [way.kind for way in readings(texts)] == kinds


def test_a_column_has_one_order_of_day_and_month() -> None:
    assert dates(["01/02/2020", "13/02/2020"]) == [datetime(2020, 2, 1), datetime(2020, 2, 13)]
    assert dates(["02/01/2020", "02/13/2020"]) == [datetime(2020, 2, 1), datetime(2020, 2, 13)]
    assert dates(["1/2/2020 9:30", "13/2/2020 9:30"]) == [datetime(2020, 2, 1, 9, 30), datetime(2020, 2, 13, 9, 30)]
    either = ["01/02/2020", "03/04/2020"]
    assert dates(either) == [datetime(2020, 1, 2), datetime(2020, 3, 4)]
    assert dates(either, 1) == [datetime(2020, 2, 1), datetime(2020, 4, 3)]
    assert len(list(readings(["13/02/2020"]))) == 1


def test_years_of_two_digits_lie_around_the_turn_of_the_century() -> None:
    assert [date.year for date in dates(["1/31/69", "1/31/99"])] == [1969, 1999]
    assert [date.year for date in dates(["1/31/00", "1/31/68"])] == [2000, 2068]


def test_other_spellings_are_read_too_and_go_on_as_iso_has_them() -> None:
    way = next(readings(["Jan 2020", "Feb 2020"]))
    assert [way.spell(tick) for tick in way.ticks.tolist()] == ["2020-01-01", "2020-02-01"]
    way = next(readings(["1/31/2020 1:00 PM", "1/31/2020 1:30 PM"]))
    assert [way.spell(tick) for tick in way.ticks.tolist()] == ["2020-01-31 13:00", "2020-01-31 13:30"]
    way = next(readings(["Wed, 01 Jan 2020 10:00:00 +0100", "Wed, 01 Jan 2020 11:00:00 +0100"]))
    assert way.spell(int(way.ticks[-1])) == "2020-01-01 11:00:00+01:00"


@pytest.mark.parametrize(
    ("texts", "place", "problem"),
    [
        (["2020-01-01", "2020-02-30"], 1, "'2020-02-30' is no time"),
        (["2020-01-01", "soon"], 1, "'soon' is no time"),
        (["1", ""], 1, "'' is no time"),
        (["13/02/2020", "02/13/2020"], 1, "'02/13/2020' is no time as day/month/year, as those before it are"),
        (["02/13/2020", "01/02/2020", "13/02/2020"], 2, "'13/02/2020' is no time as month/day/year"),
        (["2020-01-01 25:00"], 0, "'2020-01-01 25:00' is no time"),
        (
            ["2020-03-29T01:00+01:00", "2020-03-29T03:00+02:00"],
            1,
            "2020-03-29T03:00+02:00 has another offset from UTC than 2020-03-29T01:00+01:00: write all times",
        ),
        (["2020-03-29T01:00Z", "2020-03-29T02:00"], 1, "2020-03-29T02:00 has another offset from UTC"),
        (["2020-01-01 00:00:00.000000001"], 0, "is told to less than a millionth of a second: give it fewer digits"),
    ],
)
def test_what_is_no_time_is_named_with_its_place(texts: list[str], place: int, problem: str) -> None:
    with pytest.raises(NoTime) as caught:
        list(readings(texts))
    assert caught.value.place == place
    assert problem in caught.value.problem


@pytest.mark.parametrize("texts", [["1e400", "2"], ["9" * 30, "1"], ["nan", "1"]])
def test_numbers_that_no_clock_counts_to_are_no_times(texts: Any) -> None:
    with pytest.raises(NoTime):
        list(readings(texts))
