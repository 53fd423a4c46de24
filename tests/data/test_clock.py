"""Times of series: what a step is, what comes after the last, and where one is missing."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from unrolled.data.clock import Clock, NoTime


@pytest.mark.parametrize(
    ("times", "step", "following"),
    [
        (["0", "1", "2"], "1", ("3", "4")),
        (["0.5", "1", "1.5"], "0.5", ("2", "2.5")),
        (["1949", "1950", "1951"], "a year", ("1952", "1953")),
        (["1949-11", "1949-12", "1950-01"], "a month", ("1950-02", "1950-03")),
        (["2000-01-01", "2000-02-01", "2000-03-01"], "a month", ("2000-04-01", "2000-05-01")),
        (["2000-01-31", "2000-02-29", "2000-03-31"], "a month", ("2000-04-30", "2000-05-31")),
        (["2000-01-01", "2000-04-01", "2000-07-01"], "3 months", ("2000-10-01", "2001-01-01")),
        (["2000-02-27", "2000-02-28", "2000-02-29"], "a day", ("2000-03-01", "2000-03-02")),
        (["1958-03-29", "1958-04-05", "1958-04-12"], "a week", ("1958-04-19", "1958-04-26")),
        (["12/30/1981", "12/31/1981", "1/1/1982"], "a day", ("1/2/1982", "1/3/1982")),
        (["2014-07-01 23:00:00", "2014-07-01 23:30:00"], "30 minutes", ("2014-07-02 00:00:00", "2014-07-02 00:30:00")),
        (["2014-07-01T22:00", "2014-07-01T23:00"], "an hour", ("2014-07-02T00:00", "2014-07-02T01:00")),
        (["2024-01-04", "2024-01-05", "2024-01-08", "2024-01-09"], "a working day", ("2024-01-10", "2024-01-11")),
    ],
)
def test_a_step_is_found_and_gone_on_with(times, step, following) -> None:
    clock = Clock(times)
    assert str(clock.step) == step
    assert clock.following(2) == following
    assert clock.gap() is None
    assert clock.with_following(2).gap() is None


def test_working_days_step_over_weekends() -> None:
    days = [str(day) for day in np.arange("2024-01-01", "2024-03-01", dtype="datetime64[D]") if np.is_busday(day)]
    clock = Clock(days)
    assert clock.gap() is None
    assert Clock(days[:10]).following(5) == tuple(days[10:15])


@pytest.mark.parametrize(
    ("times", "place", "problem"),
    [
        (
            ["2000-01-01", "2000-01-02", "2000-01-04", "2000-01-05"],
            2,
            "2000-01-04 follows 2000-01-02, where a step is a day",
        ),
        (
            ["1949-01", "1949-02", "1949-04", "1949-05", "1949-06"],
            2,
            "1949-04 follows 1949-02, where a step is a month",
        ),
        (["1", "2", "3", "5"], 3, "5 follows 3, where a step is 1"),
        (["2024-01-01", "2024-01-02", "2024-01-05"], 2, "2024-01-05 follows 2024-01-02, where a step is a day"),
        (
            ["2014-07-01 00:00", "2014-07-01 01:00", "2014-07-01 03:00", "2014-07-01 04:00"],
            2,
            "where a step is an hour",
        ),
    ],
)
def test_a_gap_is_named(times, place, problem) -> None:
    found = Clock(times).gap()
    assert found is not None
    assert found.place == place
    assert problem in found.problem


@pytest.mark.parametrize(
    ("times", "place", "problem"),
    [
        (["2000-01-01", "soon"], 1, "'soon' is no time"),
        (["2000-01-01", ""], 1, "'' is no time"),
        (["2000-01-02", "2000-01-01"], 1, "2000-01-01 follows 2000-01-02: each time must be later than the one before"),
        (["1", "1"], 1, "1 follows 1: each time"),
    ],
)
def test_what_is_no_time_is_named(times, place, problem) -> None:
    with pytest.raises(NoTime) as caught:
        Clock(times)
    assert caught.value.place == place
    assert problem in caught.value.problem


def test_the_calendar_has_what_changes() -> None:
    assert Clock(["1", "2"]).calendar().shape == (2, 0)
    assert Clock(["1949", "1950"]).calendar().shape == (2, 0)
    assert Clock(["1949-01", "1949-02"]).calendar().shape == (2, 2)
    assert Clock(["2000-01-01", "2000-01-02"]).calendar().shape == (2, 4)
    hours = Clock([f"2014-07-01 {hour:02}:00" for hour in range(24)]).calendar()
    assert hours.shape == (24, 6)
    np.testing.assert_allclose(hours[6, :2], [1, 0], atol=1e-9)
    np.testing.assert_allclose(hours[18, :2], [-1, 0], atol=1e-9)
    week = Clock([str(day) for day in np.arange("2024-01-01", "2024-01-15", dtype="datetime64[D]")]).calendar()
    np.testing.assert_allclose(week[:7, :2], week[7:, :2])
    np.testing.assert_allclose(week[0, :2], [0, 1], atol=1e-9)  # a Monday


def test_one_time_is_enough() -> None:
    assert Clock(["1949-01-01"]).following(1) == ("1949-01-02",)
    assert Clock(["7"]).following(1) == ("8",)


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("air_passengers", "a month"), ("lynx", "a year"), ("sunspots_monthly", "a month"), ("nyc_taxi", "30 minutes"),
        ("shampoo", "a month"), ("nile", "a year"),
    ],
)  # fmt: skip
def test_the_classics_have_no_gaps(shared_data, name, step) -> None:
    with (shared_data / "ts_classics" / f"{name}.csv").open(newline="") as file:
        times = [row[0] for row in list(csv.reader(file))[1:]]
    clock = Clock(times)
    assert str(clock.step) == step
    assert clock.gap() is None


def test_what_is_wrong_in_real_files_is_found(shared_data) -> None:
    def clock(name: str) -> Clock:
        with (shared_data / "ts_classics" / f"{name}.csv").open(newline="") as file:
            return Clock([row[0] for row in list(csv.reader(file))[1:]])

    assert "follows" in str(clock("co2_weekly").gap())  # weeks without a value were left out
    assert clock("melbourne_min_temp").gap() is not None  # leap days were left out
