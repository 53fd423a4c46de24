"""Forecasts from a table into a table: times of any form, rows as they were, and what was written is read again."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from unrolled import Forecaster as Model

SMALL: dict[str, Any] = {"horizon": 3, "context": 6, "season": 1, "hidden_size": 4, "epochs": 1}


def test_a_table_with_its_forecast_can_be_forecast_again(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    days = [date(2020, 1, 1) + timedelta(days=k) for k in range(40)]
    lines = ["note,shop,day,town,pieces"]
    for shop, town in (("a", "X"), ("b", "Y")):
        lines += [f"n{k},{shop},{day:%d/%m/%Y},{town},{rng.integers(9)}" for k, day in enumerate(days)]
    (tmp_path / "sales.csv").write_text("\n".join(lines) + "\n")
    columns = {"series": "shop", "time": "day", "values": "pieces", "static": "town"}
    model = Model.train(tmp_path / "sales.csv", **columns, **SMALL)
    model.predict_file(tmp_path / "sales.csv", tmp_path / "next.csv")
    written = (tmp_path / "next.csv").read_text().splitlines()
    assert written[0].startswith("note,shop,day,town,pieces,forecast,q0.05,")
    assert [line.rsplit(",", 8)[0] for line in written if line.startswith("n")] == lines
    added = [line.split(",")[:5] for line in written if line.startswith(",")]
    assert added == [["", shop, f"{day}/02/2020", town, ""] for shop, town in ("aX", "bY") for day in (10, 11, 12)]
    model.predict_file(tmp_path / "next.csv", tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_text() == (tmp_path / "next.csv").read_text()


def test_years_beside_series_are_times_and_no_series(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    rows = "".join(f"{year},{rng.random()},{rng.random()}\n" for year in range(1980, 2020))
    (tmp_path / "countries.csv").write_text("year,USA,FRA\n" + rows)
    model = Model.train(tmp_path / "countries.csv", **SMALL)
    said = model.predict_file(tmp_path / "countries.csv", tmp_path / "next.csv")
    assert [(one.series, one.forecast.time) for one in said] == [
        ("USA", ("2020", "2021", "2022")),
        ("FRA", ("2020", "2021", "2022")),
    ]
    model.predict_file(tmp_path / "next.csv", tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_text() == (tmp_path / "next.csv").read_text()
