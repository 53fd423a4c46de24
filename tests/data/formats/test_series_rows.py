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
