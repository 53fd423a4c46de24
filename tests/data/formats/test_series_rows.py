"""Series in tables: long, wide and a row each."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from unrolled.data.examples import Forecast, Series
from unrolled.data.formats.csv import CSV
from unrolled.data.reading import read as read_file
from unrolled.errors import BadData, UnknownName

LONG = "series,time,value\na,2000-01,1.5\na,2000-02,\na,2000-03,3.0\nb,2000-01,7.0\n"


def read(content: str, columns: Any = None) -> list[Series]:
    return list(CSV(Series, columns).read_stream(io.BytesIO(content.encode()), "a.csv"))  # type: ignore[arg-type]


def written(examples: list[Series], columns: Any = None) -> str:
    return b"".join(CSV(Series, columns).write_stream(examples)).decode()


def test_long_a_row_is_a_step() -> None:
    first, second = read(LONG)
    assert first == Series(values=np.array([1.5, np.nan, 3.0]), series="a", time=("2000-01", "2000-02", "2000-03"))
    assert second == Series(values=np.array([7.0]), series="b", time=("2000-01",))
    assert [str(one.origin) for one in (first, second)] == ["a.csv:2", "a.csv:5"]
    assert written([first, second]) == LONG


def test_one_series_needs_no_name_and_steps_no_time() -> None:
    (alone,) = read("value\n1\n2\n")
    assert alone == Series(values=np.array([1.0, 2.0]))
    assert read("when,price\n1,2\n", {"time": "when", "values": "price"})[0].time == ("1",)


def test_what_stands_beside_a_value_is_known_ahead_or_observed_or_does_not_change() -> None:
    content = "series,time,value,holiday,rain,town\na,1,5.0,0.0,2.5,X\na,2,6.0,1.0,,X\na,3,,0.0,,X\n"
    columns = {"ahead": "holiday", "observed": "rain", "static": "town"}
    (one,) = read(content, columns)
    assert one.ahead is not None
    assert one.observed is not None
    assert one.ahead[:, 0].tolist() == [0, 1, 0]
    assert np.isnan(one.observed[:, 0]).tolist() == [False, True, True]
    assert (one.static, one.known) == (("X",), 2)
    assert written([one], columns) == content
    with pytest.raises(BadData, match=r"^a\.csv:3: what is static changes within the series 'a'$"):
        read(content.replace("2,6.0,1.0,,X", "2,6.0,1.0,,Y"), columns)


def test_wide_a_column_is_a_series() -> None:
    first, second = read("date,GOOG,AAPL\n2018-01-01,1.0,2\n2018-01-08,,3\n")
    assert first == Series(values=np.array([1.0, np.nan]), series="GOOG", time=("2018-01-01", "2018-01-08"))
    assert (second.series, second.values.tolist()) == ("AAPL", [2, 3])
    assert [one.series for one in read("AUS,GBR\n0.78,1.6\n0.79,1.7\n")] == ["AUS", "GBR"]
    assert [one.series for one in read("t,x,y\n1,5,6\n2,7,8\n", {"time": "t", "values": "y"})] == ["y"]


@pytest.mark.parametrize("name", ["year", "t", "Date", "TIME", "", "index", " Month"])
def test_a_first_column_that_is_called_so_is_the_time(name: str) -> None:
    found = read(f"{name},USA,FRA\n1990,1,4\n1991,3,5\n")
    assert [(one.series, one.time) for one in found] == [("USA", ("1990", "1991")), ("FRA", ("1990", "1991"))]
    assert written(found) == "series,time,value\nUSA,1990,1.0\nUSA,1991,3.0\nFRA,1990,4.0\nFRA,1991,5.0\n"


@pytest.mark.parametrize(
    ("content", "columns", "series", "time"),
    [
        ("jahr,x\n1990,1\n1991,3\n1992,2\n", None, ["x"], ("1990", "1991", "1992")),  # numbers that count the rows
        ("s,x\n0,1\n0.1,3\n0.2,2\n0.30000000000000004,2\n", None, ["x"], ("0", "0.1", "0.2", "0.30000000000000004")),
        ("jahr,x\n1990,1\n1991,3\n", None, ["jahr", "x"], None),  # any two do that
        ("a,x\n1990,1\n1991,3\n1993,2\n", None, ["a", "x"], None),
        ("a,x\n3,1\n2,3\n1,2\n", None, ["a", "x"], None),
        ("a,x\n1,1\n,3\n3,2\n", None, ["a", "x"], None),
        ("a,x\n5,1\n5,3\n5,2\n", None, ["a", "x"], None),
        ("a\n1\n2\n3\n", None, ["a"], None),
        ("year,x\n1990,1\n1991,3\n", {"values": "year,x"}, ["year", "x"], None),
        ("year,x\n1990,1\n1991,3\n", {"values": "x"}, ["x"], ("1990", "1991")),
        ("year,x\n1990,1\n1991,3\n", {"time": "x"}, ["year"], ("1", "3")),
    ],
)
def test_any_other_first_column_is_the_time_where_it_can_be_nothing_else(
    content: str, columns: Any, series: list[str], time: Any
) -> None:
    found = read(content, columns)
    assert [one.series for one in found] == series
    assert {one.time for one in found} == {time}


def test_a_long_table_of_one_series_may_have_its_time_first() -> None:
    content = "Date,value,note\n2020-01-01,1,\n2020-01-02,2,x\n"
    (one,) = read(content)
    assert one.time == ("2020-01-01", "2020-01-02")
    said = Forecast(("2020-01-03",), np.array([3.0]), (0.5,), np.array([[3.0]]))
    lines = written([replace(one, forecast=said)]).splitlines()
    assert lines[0] == "Date,value,note,forecast,q0.5"
    assert lines[-1] == "2020-01-03,,,3,3"
    assert read("\n".join(lines))[0].time == ("2020-01-01", "2020-01-02", "2020-01-03")
    assert read("hour,value\n0,5\n0,6\n", {"ahead": "hour"})[0].time is None
    assert read("series,date,value\na,2020-01-01,5\n")[0].time is None
    assert read("date,time,value\n2020-01-01,1,5\n")[0].time == ("1",)


def test_a_row_may_be_a_series_and_end_early() -> None:
    found = read(
        '"V1","V2","V3","V4"\n"H1","605","586",""\n"H2","1","","3"\n"H3","9"\n', {"values": "V", "series": "V1"}
    )
    assert [one.series for one in found] == ["H1", "H2", "H3"]
    assert [len(one.values) for one in found] == [2, 3, 1]
    assert np.isnan(found[1].values[1])
    assert str(found[1].origin) == "a.csv:3"


def test_a_forecast_is_written_behind_the_series_and_into_its_empty_rows() -> None:
    (one, _) = read(LONG.replace("a,2000-03,3.0", "a,2000-03,"))
    said = Forecast(
        ("2000-02", "2000-03", "2000-04"), np.array([2.0, 3.0, 4.0]), (0.1, 0.9), np.arange(6.0).reshape(3, 2)
    )
    lines = written([replace(one, forecast=said)]).splitlines()
    assert lines == [
        "series,time,value,forecast,q0.1,q0.9",
        "a,2000-01,1.5,,,",
        "a,2000-02,,2,0,1",
        "a,2000-03,,3,2,3",
        "a,2000-04,,4,4,5",
    ]
    (again,) = read("\n".join(lines) + "\n")
    assert again.known == 1
    assert again.time == ("2000-01", "2000-02", "2000-03", "2000-04")


TOWNS = "note,shop,day,town,pieces,rain\n,a,1,X,5,NA\nfair,a,2,X,06,0\n,a,3,X,,1.50\n,b,1,Y,7,?\n"
NAMED = {"series": "shop", "time": "day", "values": "pieces", "static": "town", "ahead": "rain"}


def forecast_of(one: Series, steps: int) -> Series:
    time = None if one.time is None else tuple(str(one.known + 1 + k) for k in range(steps))
    median = np.arange(1.0, steps + 1)
    return replace(one, forecast=Forecast(time, median, (0.5,), median[:, None]))


def test_what_was_read_is_written_as_it_was() -> None:
    assert written(read(TOWNS, NAMED), NAMED) == TOWNS
    assert written(read("day,value\n1,5\n2,NaN\n", {"time": "day"}), {"time": "day"}) == "day,value\n1,5\n2,NaN\n"
    (first, _) = read(TOWNS, NAMED)
    changed = replace(first, values=np.array([5.0, 8.0, 9.0]))
    assert [line.split(",")[4] for line in written([changed], NAMED).splitlines()] == ["pieces", "5", "8.0", "9.0"]


def test_a_forecast_can_be_read_again_and_is_what_was_written() -> None:
    said = [forecast_of(one, 2) for one in read(TOWNS, NAMED)]
    content = written(said, NAMED)
    assert content.splitlines() == [
        "note,shop,day,town,pieces,rain,forecast,q0.5",
        ",a,1,X,5,NA,,",
        "fair,a,2,X,06,0,,",
        ",a,3,X,,1.50,1,1",
        ",a,4,X,,,2,2",
        ",b,1,Y,7,?,,",
        ",b,2,Y,,,1,1",
        ",b,3,Y,,,2,2",
    ]
    again = read(content, NAMED)
    assert [(one.series, one.time, one.static, one.known) for one in again] == [
        ("a", ("1", "2", "3", "4"), ("X",), 2),
        ("b", ("1", "2", "3"), ("Y",), 1),
    ]
    for one, before in zip(again, said, strict=True):
        np.testing.assert_array_equal(one.values[: one.known], before.values[: before.known])
    assert written(again, NAMED) == content


def test_a_new_forecast_takes_the_place_of_an_older_one() -> None:
    (one,) = read("value,forecast,q0.05,q0.5,q1\n5,,,,9\n6,7,1,2,9\n", None)
    lines = written([forecast_of(one, 1)]).splitlines()
    assert lines == ["value,q1,forecast,q0.5", "5,9,,", "6,9,,", ",,1,1"]


def test_further_columns_are_cut_and_joined_with_their_series() -> None:
    (one,) = read("value,note\n5,x\n6,y\n7,z\n")
    assert written([one.upto(2)]) == "value,note\n5,x\n6,y\n"
    (later,) = read("value,mark\n8,m\n")
    joined = one.upto(2).followed_by(later)
    assert written([joined]) == "value,note,mark\n5,x,\n6,y,\n8,,m\n"
    assert written([one.followed_by(Series(values=np.array([8.0])))]) == ("series,value\n1,5.0\n1,6.0\n1,7.0\n1,8.0\n")


def test_series_without_a_name_from_several_tables_stay_apart() -> None:
    both = [*read("value\n1\n2\n"), *read("value\n3\n")]
    assert written(both[:1]) == "value\n1\n2\n"
    assert [one.values.tolist() for one in read(written(both))] == [[1, 2], [3]]


@pytest.mark.parametrize(
    ("content", "columns", "error", "message"),
    [
        ("series,value\na,1\nb,2\na,3\n", None, BadData, r"a\.csv:4: the series 'a' begins again"),
        (
            "series,value\na,1\na,one\n",
            None,
            BadData,
            r"a\.csv:3: 'one' in the column 'value' where a number is expected",
        ),
        ("series,value\na,inf\n", None, BadData, r"a\.csv:2: 'inf' in the column 'value'"),
        ("series,value\na\n", None, BadData, r"a\.csv:2: 1 column where the header has 2"),
        ("date,x\n2000-01-01,1\n2000-01-02,y\n", None, BadData, r"a\.csv:3: 'y' in the column 'x'"),
        ("series,value\na,1\n", {"values": "price"}, UnknownName, r"a\.csv \(values\): unknown column 'price'"),
        ("series,value\na,1\n", {"time": "when"}, UnknownName, r"a\.csv \(time\): unknown column 'when'"),
        ("series,value\na,1\n", {"ahead": "x, y"}, UnknownName, r"a\.csv \(ahead\): unknown column 'x'"),
        ("V1,V2\na,1,2\n", {"values": "V", "series": "V1"}, BadData, r"a\.csv:2: 3 columns where the header has 2"),
    ],
)
def test_what_is_no_series_is_named_with_its_line(content: str, columns: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        read(content, columns)


def test_real_series_are_as_many_as_published(shared_data) -> None:
    hourly = shared_data / "ts_m4_hourly" / "Hourly-train.csv.gz"
    found = read_file(hourly, Series, columns={"values": "V", "series": "V1"})
    assert (len(found), sum(len(one.values) for one in found)) == (414, 353_500)
    assert {len(one.values) for one in found} == {700, 960}
    rates = read_file(shared_data / "ts_exchange_rate" / "exchange_rate.csv.xz", Series)
    assert (len(rates), len(rates[0].values)) == (8, 7588)
    stocks = shared_data / "ts_stocks" / "stocks_monthly.csv"
    monthly = read_file(stocks, Series, columns={"series": "symbol", "time": "date", "values": "price"})
    assert {one.series: len(one.values) for one in monthly} == {
        "MSFT": 123,
        "AMZN": 123,
        "IBM": 123,
        "GOOG": 68,
        "AAPL": 123,
    }
