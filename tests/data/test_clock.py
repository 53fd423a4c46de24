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
        (["0.1", "0.2", "0.3", "0.4"], "0.1", ("0.5", "0.6")),
        (["0.1", "0.2", "0.30000000000000004", "0.4"], "0.1", ("0.5", "0.6")),
        (["1.0", "2.0", "3.0"], "1", ("4.0", "5.0")),
        (["1000000.25", "1000000.50"], "0.25", ("1000000.75", "1000001.00")),
        (["20240130", "20240131", "20240201"], "a day", ("20240202", "20240203")),
        (["20240129", "20240130", "20240131"], "a day", ("20240201", "20240202")),
        (["20240131"], "a day", ("20240201", "20240202")),
        (["202311", "202312", "202401"], "a month", ("202402", "202403")),
        (["202310", "202311", "202312"], "a month", ("202401", "202402")),
        (["1949-12"], "a month", ("1950-01", "1950-02")),
        (["10000001", "10000002"], "1", ("10000003", "10000004")),
        (["30/01/2020", "31/01/2020", "01/02/2020"], "a day", ("02/02/2020", "03/02/2020")),
        (["05/02/2020", "12/02/2020", "19/02/2020"], "a week", ("26/02/2020", "04/03/2020")),
        (
            ["2020-01-01 00:00:00.9", "2020-01-01 00:00:01.0"],
            "0.1 seconds",
            ("2020-01-01 00:00:01.1", "2020-01-01 00:00:01.2"),
        ),
        (
            ["2020-01-01T00:00:00.000Z", "2020-01-01T00:00:00.250Z"],
            "0.25 seconds",
            ("2020-01-01T00:00:00.500Z", "2020-01-01T00:00:00.750Z"),
        ),
        (
            ["2020-01-01T22:00+02:00", "2020-01-01T23:00+02:00"],
            "an hour",
            ("2020-01-02T00:00+02:00", "2020-01-02T01:00+02:00"),
        ),
        (
            ["2024-01-05 16:00", "2024-01-08 16:00", "2024-01-09 16:00", "2024-01-10 16:00"],
            "a working day",
            ("2024-01-11 16:00", "2024-01-12 16:00"),
        ),
        (["2000-01-31 12:00", "2000-02-29 12:00"], "a month", ("2000-03-31 12:00", "2000-04-30 12:00")),
        (["2000-11-30", "2000-12-30"], "a month", ("2001-01-30", "2001-02-28")),
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


def test_rounded_times_have_no_gaps_and_go_on_without_drift() -> None:
    thirds = [f"{k / 3:.2f}" for k in range(100)]
    clock = Clock(thirds)
    assert clock.gap() is None
    assert clock.following(300)[-1] == f"{399 / 3:.2f}" == "133.00"
    frames = Clock([f"2020-01-01 00:00:{k / 30:06.3f}" for k in range(100)])
    assert frames.gap() is None
    assert frames.following(200)[-1] == "2020-01-01 00:00:09.967"  # 299 / 30
    tenths = Clock([repr(0.1 * k) for k in range(1000)])
    assert tenths.gap() is None
    assert tenths.following(9000)[-1] == "999.9"


def test_what_is_rounded_hides_no_gap() -> None:
    assert str(Clock(["0.1", "0.2", "0.3", "0.5"]).gap()) == "step 4: 0.5 follows 0.3, where a step is 0.1"
    assert str(Clock(["0.33", "0.67", "1.00", "1.67"]).gap()) == "step 4: 1.67 follows 1.00, where a step is 0.335"


def test_a_column_is_read_in_the_way_in_which_its_steps_are_of_one_length() -> None:
    firsts = [f"01/{month:02}/2020" for month in range(1, 13)]
    assert Clock(firsts).following(1) == ("01/13/2020",)  # twelve days in January as well as twelve months
    clock = Clock([*firsts, "01/01/2021"])
    assert (str(clock.step), clock.following(1)) == ("a month", ("01/02/2021",))
    rising = Clock(["05/01/2020", "07/02/2020", "01/03/2020"])  # which no order makes regular
    assert rising.at[0] == Clock(["2020-01-05"]).at[0]
    assert Clock(["20240120", "20240225", "20240330"]).following(1) == ("20240435",)
    assert Clock(["20240120", "20240225", "20240331"]).step.unit == "seconds"  # neither has one length: they are dates


def test_the_hour_of_a_time_is_that_where_the_series_is() -> None:
    there, utc = Clock(["2020-01-01T06:00+02:00"]), Clock(["2020-01-01T06:00Z"])
    np.testing.assert_array_equal(there.at, utc.at)
    with pytest.raises(NoTime, match="has another offset from UTC than"):
        Clock(["2020-03-29T01:00+01:00", "2020-03-29T03:00+02:00"])


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


@pytest.mark.parametrize(
    ("times", "longer"),
    [
        (["0", "1", "2", "5", "6"], [1, 1, 1, 3, 1]),
        (["0", "0.5", "1", "1.5", "3.5"], [1, 1, 1, 1, 4]),
        (["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-08"], [1, 1, 1, 5]),
        (["2000-01-31", "2000-02-29", "2000-03-31", "2000-04-30", "2000-07-31"], [1, 1, 1, 1, 92 / 31]),
        (["7"], [1]),
    ],
)
def test_how_much_longer_than_usual_a_step_took(times: list[str], longer: list[float]) -> None:
    count = len(times)
    assert np.exp(Clock(times).elapsed(0, count, count)).tolist() == pytest.approx(longer)


def test_a_usual_step_is_that_of_the_times_before_the_origin() -> None:
    clock = Clock(["0", "1", "2", "12", "22", "32", "42"])
    assert np.exp(clock.elapsed(0, 3, 5)).tolist() == pytest.approx([1, 1, 1, 10, 10])
    assert np.exp(clock.elapsed(0, 7, 5)).tolist() == pytest.approx([1, 0.1, 0.1, 1, 1])
    assert clock.elapsed(-2, 1, 3).tolist() == [0.0] * 5  # one time tells no usual step
    assert clock.elapsed(2, 3, 2).tolist() == []


def test_how_long_a_step_was_has_bounds_and_is_not_of_the_digits_of_later_times() -> None:
    told = Clock(["0", "1", "2", "1000000000", "1000000000.00001"]).elapsed(0, 3, 5)
    assert told.tolist() == [0, 0, 0, 10, -10]
    few, more = (Clock(["0", "0.5", "1", "1.7", "2.2", later]) for later in ("2.7", "2.70001"))
    assert few.elapsed(0, 5, 5).tolist() == more.elapsed(0, 5, 5).tolist() == [0, 0, 0, pytest.approx(np.log(1.4)), 0]


def test_where_no_distance_is_frequent_the_middle_one_is_usual() -> None:
    apart = np.random.default_rng(0).exponential(size=2000)
    told = Clock([f"{time:.9f}" for time in np.cumsum(apart)]).elapsed(0, 2000, 2000)
    assert np.median(told) == pytest.approx(0, abs=0.01)
    assert told[1:] == pytest.approx(np.log(apart[1:] / np.median(apart[1:])), abs=0.06)


DAY = np.datetime64("2024-01-01")
KINDS = {
    "numbers": [str(k) for k in np.cumsum(np.random.default_rng(0).choice([1, 1, 1, 2, 3, 50], size=60))],
    "decimals": [f"{k:.3f}" for k in np.cumsum(np.random.default_rng(1).exponential(size=60) + 0.002)],
    "years": [str(k) for k in (1900, 1901, 1902, 1904, 1907, 1910, 1913, 1914, 1920)],
    "months": ["2023-01", "2023-02", "2023-03", "2023-06", "2023-09", "2023-12", "2024-01"],
    "ends": ["2023-01-31", "2023-02-28", "2023-03-31", "2023-06-30", "2023-07-30", "2023-08-31", "2023-09-01"],
    "one day": ["2023-01-30", "2023-02-28", "2023-03-30", "2023-05-30", "2023-06-29", "2023-08-02", "2023-08-03"],
    "days": [str(DAY + int(k)) for k in np.cumsum(np.random.default_rng(2).choice([1, 1, 1, 2, 3], size=60))],
    "working days": [str(DAY + k) for k in range(60) if k % 7 < 5 and k not in (9, 21)] + ["2024-03-02", "2024-03-03"],
    "hours": [f"{DAY + k // 24}T{k % 24:02}:30" for k in (0, 1, 2, 5, 9, 13, 17, 21, 25, 26, 27, 28, 29, 100)],
}


@pytest.mark.parametrize("times", KINDS.values(), ids=KINDS)
def test_of_the_times_before_an_origin_the_same_is_told_whatever_comes_later(times: list[str]) -> None:
    whole = Clock(times)
    for origin in range(1, len(times)):
        part = Clock(times[:origin])
        assert part.elapsed(0, origin, origin).tolist() == whole.elapsed(0, origin, origin).tolist()
        there = part.calendar_after(origin, 3)
        if there.shape[1] == whole.calendar().shape[1]:
            assert np.array_equal(there, whole.calendar_after(origin, 3))
        followed = Clock([*times[:origin], *part.following(3)])
        if part.step == followed.step and origin > 1:
            assert there == pytest.approx(followed.calendar()[origin:], abs=1e-9)
