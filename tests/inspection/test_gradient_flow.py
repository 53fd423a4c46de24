"""The measured flow is the true one: of a recurrence whose gradients are known, and by finite differences."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from tests.inspection.linear_cell import scaled_orthogonal
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_sequence

from unrolled import state as states
from unrolled.cells.elman import Elman
from unrolled.cells.gru import GRU
from unrolled.cells.lstm import LSTM
from unrolled.data.examples import LabelledText, Passage
from unrolled.errors import BadOption
from unrolled.inspection.gradient_flow import Flow, flow_of, gradient_flow
from unrolled.layers.recurrent import Recurrent
from unrolled.tasks.classifier import Classifier
from unrolled.tasks.language_model import LanguageModel


def rows(*sizes: int, features: int = 3) -> Any:
    torch.manual_seed(1)
    return pack_sequence([torch.randn(n, features, dtype=torch.float64) for n in sizes], enforce_sorted=False)


def on_the_last_state(x: Any) -> Callable[[Any], Callable[[], Tensor]]:
    return lambda layer: lambda: states.leaves(layer(x)[1])[0].square().sum()


@pytest.mark.parametrize("scale", [0.5, 0.9, 1.0, 1.1])
def test_a_scaled_orthogonal_recurrence_has_the_power_of_its_scale_at_each_lag(scale: float) -> None:
    flow = flow_of(Recurrent(scaled_orthogonal(8, scale)), on_the_last_state(rows(30, 12, 5))).of("cell")
    expected = scale ** np.arange(30)
    for row, size in zip(flow.relative, (30, 12, 5), strict=True):
        np.testing.assert_allclose(row[:size], expected[:size], rtol=1e-6)
        assert np.isnan(row[size:]).all()
    assert flow.factor == pytest.approx(scale, abs=1e-6)
    assert flow.memory(math.exp(-1)) == {0.5: 2, 0.9: 10, 1.0: None, 1.1: None}[scale]
    assert flow.memory(0.01) == (7 if scale == 0.5 else None)


@pytest.mark.parametrize("kind", [Elman, LSTM, GRU])
def test_it_equals_finite_differences(kind: Any) -> None:
    torch.manual_seed(3)
    layer = Recurrent(kind(3, 4)).double()
    x = torch.randn(6, 3, dtype=torch.float64)
    found = flow_of(layer, on_the_last_state(pack_sequence([x])))
    px = layer.cell.project(x)

    def loss_from(state: Any, time: int) -> float:
        for t in range(time, 6):
            _, state = layer.cell.step(px[t : t + 1], state)
        return float(states.leaves(state)[0].square().sum())

    with torch.no_grad():
        for time in range(6):
            state = layer.cell.initial_state(1)
            for t in range(time + 1):
                _, state = layer.cell.step(px[t : t + 1], state)
            slopes = []
            for unit in range(4):
                h = states.leaves(state)[0]
                ends = []
                for step in (1e-6, -1e-6):
                    moved = h.clone()
                    moved[0, unit] += step
                    ends.append(loss_from((moved, state[1]) if isinstance(state, tuple) else moved, time + 1))
                slopes.append((ends[0] - ends[1]) / 2e-6)
            assert found.of("cell").norms[0, 5 - time] == pytest.approx(math.hypot(*slopes), rel=1e-5)


def test_the_cell_state_of_an_lstm_has_a_flow_of_its_own() -> None:
    torch.manual_seed(4)
    layer = Recurrent(LSTM(3, 4)).double()
    x = rows(6)
    found = flow_of(layer, on_the_last_state(x)).of("cell", "c")
    # Back through one tick by hand: dL/dc_T = dL/dh_T * o * (1 - tanh(c)^2).
    h, c = layer.cell.initial_state(1)
    for px in layer.cell.project(x.data):
        now = layer.cell.gates(px.unsqueeze(0), (h, c))
        h, c = now.h, now.c
    by_hand = (2 * now.h * now.o * (1 - now.c.tanh() ** 2)).norm()
    assert found.norms[0, 0] == pytest.approx(float(by_hand.detach()), rel=1e-9)


def test_only_what_comes_from_above_at_the_last_step_is_followed() -> None:
    cell, x = scaled_orthogonal(8, 0.9), rows(10, 10)

    def each_step(layer: Any) -> Callable[[], Tensor]:
        return lambda: layer(x)[0].data.sum()

    flow = flow_of(Recurrent(cell), each_step).of("cell")
    np.testing.assert_array_equal(flow.felt, [1, 1])
    np.testing.assert_allclose(flow.relative, np.broadcast_to(0.9 ** np.arange(10), (2, 10)), rtol=1e-6)


def test_a_loss_that_reads_a_step_in_the_middle_is_followed_from_there() -> None:
    cell, x = scaled_orthogonal(8, 0.9), rows(10, 10)

    def early(layer: Any) -> Callable[[], Tensor]:
        return lambda: layer(x)[0].data[8:10].sum()  # of both rows the fifth element

    flow = flow_of(Recurrent(cell), early).of("cell")
    assert np.isfinite(flow.norms).sum(axis=1).tolist() == [5, 5]
    np.testing.assert_array_equal(flow.felt, [0.1, 0.1])


def test_batch_mates_change_nothing() -> None:
    layer = Recurrent(GRU(3, 4)).double()
    x = rows(9, 4, 6)
    together = flow_of(layer, on_the_last_state(x)).of("cell").norms
    data, sizes = torch.nn.utils.rnn.pad_packed_sequence(x, batch_first=True)
    for row, place in zip((0, 2, 1), range(3), strict=True):  # longest first
        alone = flow_of(layer, on_the_last_state(pack_sequence([data[row, : sizes[row]]]))).of("cell").norms
        np.testing.assert_allclose(together[place, : int(sizes[row])], alone[0], rtol=1e-9)


def test_a_model_of_torch_is_measured_as_it_is() -> None:
    torch.manual_seed(5)
    model = nn.GRU(3, 4, batch_first=True).double()
    x = torch.randn(2, 7, 3, dtype=torch.float64)
    flow = flow_of(model, lambda copy: lambda: copy(x)[1].square().sum())
    ours = Recurrent(GRU(3, 4)).double()
    ours.cell.load_state_dict({name.removesuffix("_l0"): value for name, value in model.state_dict().items()})
    other = flow_of(ours, on_the_last_state(pack_sequence(list(x))))
    np.testing.assert_allclose(flow.of("layers.0.cell").norms, other.of("cell").norms, rtol=1e-9)


def test_where_nothing_comes_back_it_says_so() -> None:
    with pytest.raises(BadOption, match="has no recurrent cell"):
        flow_of(nn.Linear(2, 2), lambda copy: lambda: copy(torch.ones(1, 2)).sum())
    with pytest.raises(BadOption, match="does not depend on any recurrent cell"):
        flow_of(Recurrent(GRU(3, 4)), lambda copy: lambda: torch.ones((), requires_grad=True) * 1)
    flow = flow_of(Recurrent(GRU(3, 4)).double(), on_the_last_state(rows(3)))
    with pytest.raises(BadOption, match=r"no gradient of cell c was measured; there are cell h"):
        flow.of("cell", "c")


def test_a_lag_that_few_rows_reach_is_not_told_of() -> None:
    norms = np.full((20, 9), np.nan)
    norms[:, :5], norms[0, 5:] = 1.0, 100.0
    assert Flow("x", "h", norms, np.ones(20)).quantiles(0.5).shape == (1, 5)


def test_a_task_is_measured_on_its_own_batches() -> None:
    texts = [LabelledText(text="good good film " * n, label="ab"[n % 2]) for n in range(1, 9)]
    torch.manual_seed(0)
    classifier = Classifier.prepare(texts, hidden_size=4, word_size=3)
    found = gradient_flow(classifier, texts)
    assert found.rows == 8
    assert {flow.tensor for flow in found.flows} == {"h", "c"}
    assert all(flow.norms.shape == (8, 24) for flow in found.flows)
    model = LanguageModel.prepare([Passage(text="a b c d " * 9)] * 9, hidden_size=4, word_size=4, window=6)
    found = gradient_flow(model, [Passage(text="a b c d " * 9)] * 9, rows=4, batches=1)
    assert [flow.norms.shape for flow in found.flows] == [(4, 6)] * 4


def test_a_short_text_is_looked_at_in_fewer_streams() -> None:
    lines = [Passage(text="a b c d e")]
    flow = gradient_flow(LanguageModel.prepare(lines, hidden_size=4, word_size=4, layers=1), lines)
    assert flow.rows in (1, 2)


def test_it_prints_a_line_a_tensor_and_turns_into_plain_values() -> None:
    found = flow_of(Recurrent(scaled_orthogonal(8, 0.5)), on_the_last_state(rows(9, 9)))
    assert len(str(found).splitlines()) == 2
    (plain,) = found.to_json()["flows"]
    assert plain["layer"] == "cell"
    assert plain["factor"] == 0.5
    assert plain["memory"] == {"1/e": 2, "1%": 7}
    assert plain["median"][:3] == [1, 0.5, 0.25]
