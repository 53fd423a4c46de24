"""Series: what comes next, how sure that is, and when nothing can be known.

Two kinds of series. Eight shops sell by the day: a week that repeats, a slow trend, bargains on days that are known
beforehand, and chance. Eight prices take a step at random each day, up or down by chance alone: a random walk. For
both the same forecaster says the next fourteen days, as quantiles: half of what comes should lie within the inner
half, nine tenths within the outer band.

Beside its error stand those of forecasts that need no learning: the last value again (naive), the last week again
(seasonal naive), the line through the first and the last value (drift). The error is MASE, 1 for the seasonal naive
forecast in the known past. Of the shops much can be learnt. Of a random walk the last value is the best forecast that
there is, and a forecaster that claims more has seen the future: so `skill`, by how much MASE is below the best of the
three, should be near nothing there, and where it is 0 or less, that is what the verdict says.

With a file it is the same: `unrolled train forecaster --data sales.csv`, and `unrolled inspect predictions` draws it.
"""

from pathlib import Path

import numpy as np

from unrolled import Forecaster
from unrolled.data.examples import Series
from unrolled.data.splits import in_time
from unrolled.inspection.predicted_picture import predicted_png

rng = np.random.default_rng(1)
DAYS = 364
days = np.arange(DAYS)
dates = tuple(map(str, np.datetime64("2024-01-01") + days))


def shop(name: str) -> Series:
    week = rng.normal(0, 15, 7)[days % 7]
    bargain = (rng.random(DAYS) < 0.05).astype(float)
    values = 100 + 0.1 * days + week + 40 * bargain + rng.normal(0, 5, DAYS)
    return Series(values=values, series=name, time=dates, ahead=bargain[:, None])


def price(name: str) -> Series:
    return Series(values=100 + np.cumsum(rng.normal(0, 1, DAYS)), series=name, time=dates)


print("the series       MASE   naive  seasonal  drift   skill   within the 90 % band")
found = {}
for kind, one in (("shops", shop), ("random walks", price)):
    train, valid, test = in_time([one(f"{kind} {k}") for k in range(8)], [0.15, 0.15])
    model = Forecaster(season=7, horizon=14, context=28, hidden_size=24)
    model.fit(train, valid, epochs=60, checks=6, learning_rate=1e-2)
    told = model.evaluate(test)
    f = found[kind] = told["metrics"]
    print(
        f"  {kind:13} {f['mase']:6.3f}  {f['naive_mase']:6.3f}  {f['seasonal_naive_mase']:8.3f} {f['drift_mase']:6.3f}"
        f"  {f['skill']:6.1%}  {f['coverage_90']:7.1%}"
    )
    print(f"    {told['verdict']}")
    if kind == "shops":
        Path("series.png").write_bytes(predicted_png(model.task, test[:2]))

assert found["shops"]["skill"] > 0.2
assert found["random walks"]["skill"] < 0.1
