"""torch's recurrent modules, and our twins of them, as cells of ours: the same numbers, a tick at a time.

`torch.nn.RNN`, `LSTM`, `GRU` and their cells, in any combination of layers, directions, projection and `batch_first`.
The cells share the module's weights: what is done to one is done to the other.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from unrolled.cells.base import Cell, State
from unrolled.cells.elman import Elman
from unrolled.cells.gru import GRU
from unrolled.cells.lstm import LSTM
from unrolled.cells.lstm_projected import LSTMProjected
from unrolled.layers.recurrent import Bidirectional, Recurrent


def as_cells(path: str, module: nn.Module) -> nn.Module | None:
    """What stands in a module's place, called as it is; None where it is no recurrent one of torch's."""
    if isinstance(module, nn.RNNBase):
        return Layers(module)
    if isinstance(module, nn.RNNCellBase):
        return OneCell(module)
    return None


class Layers(nn.Module):
    """`torch.nn.RNN`, `LSTM` or `GRU`, as layers of ours. Called as those are, with the same results.

    Args:
        of: the module.
    """

    def __init__(self, of: nn.RNNBase) -> None:
        super().__init__()
        self.batch_first, self.p, self.is_lstm = of.batch_first, float(of.dropout), of.mode == "LSTM"
        self.input_size, self.hidden_size = of.input_size, of.hidden_size
        self.layers = nn.ModuleList()
        for layer in range(of.num_layers):
            cells = [_cell(of, f"_l{layer}{end}") for end in ("", "_reverse")[: 1 + of.bidirectional]]
            self.layers.append(Bidirectional(*cells) if of.bidirectional else Recurrent(*cells))
        self.directions = 1 + of.bidirectional

    def forward(self, input: Any, hx: Any = None) -> tuple[Any, Any]:
        """input: (time, batch, features), batch first, without a batch, or packed."""
        is_packed, is_batched = isinstance(input, PackedSequence), True
        x = input
        if not is_packed:
            is_batched = input.dim() == 3
            axis = 0 if self.batch_first and is_batched else 1
            whole = input if is_batched else input.unsqueeze(1)
            rows, time = whole.shape[axis], whole.shape[1 - axis]
            x = pack_padded_sequence(whole, torch.full((rows,), time), batch_first=axis == 0)
        state = None if hx is None else self._each(hx, is_batched)
        after: list[State] = []
        for place, layer in enumerate(self.layers):
            if place and self.p and self.training:
                x = x._replace(data=nn.functional.dropout(x.data, self.p))
            x, final = layer(x, None if state is None else state[place])
            after += final if self.directions == 2 else [final]
        hidden: Any = tuple(map(torch.stack, zip(*after, strict=True))) if self.is_lstm else torch.stack(after)
        if is_packed:
            return x, hidden
        data, _ = pad_packed_sequence(x, batch_first=self.batch_first and is_batched)
        if is_batched:
            return data, hidden
        return data.squeeze(1), tuple(s.squeeze(1) for s in hidden) if self.is_lstm else hidden.squeeze(1)

    def _each(self, hx: Any, is_batched: bool) -> list[State]:
        """The state of each layer, from torch's, (layers * directions, batch, features)."""
        given = [part if is_batched else part.unsqueeze(1) for part in (hx if self.is_lstm else (hx,))]
        each = list(zip(*given, strict=True)) if self.is_lstm else list(given[0])
        return [
            tuple(each[k : k + 2]) if self.directions == 2 else each[k] for k in range(0, len(each), self.directions)
        ]


class OneCell(nn.Module):
    """`torch.nn.RNNCell`, `LSTMCell` or `GRUCell`, as a cell of ours. Called as those are, with the same results.

    Args:
        of: the module.
    """

    def __init__(self, of: nn.RNNCellBase) -> None:
        super().__init__()
        self.cell = _cell(of, "")

    def forward(self, input: Tensor, hx: Any = None) -> Any:
        """input: (batch, features) or (features,)."""
        is_batched = input.dim() == 2
        x = input if is_batched else input.unsqueeze(0)
        state = self.cell.initial_state(len(x)) if hx is None else hx
        if hx is not None and not is_batched:
            state = tuple(s.unsqueeze(0) for s in hx) if isinstance(hx, (tuple, list)) else hx.unsqueeze(0)
        _, after = self.cell.step(self.cell.project(x), tuple(state) if isinstance(state, list) else state)
        if is_batched:
            return after
        return tuple(s.squeeze(0) for s in after) if isinstance(after, tuple) else after.squeeze(0)


def _cell(of: Any, end: str) -> Cell:
    """A cell that shares the weights whose names end so."""
    weights = {name: getattr(of, f"{name}{end}") for name in ("weight_ih", "weight_hh")}
    inputs, hidden = weights["weight_ih"].shape[1], of.hidden_size
    cell: Cell
    with torch.random.fork_rng(devices=[]):  # weights are drawn, and thrown away
        if isinstance(of, (nn.LSTM, nn.LSTMCell)):
            cell = LSTM(inputs, hidden, bias=of.bias)
            if projected := getattr(of, "proj_size", 0):
                cell = LSTMProjected(inputs, hidden, proj_size=projected, bias=of.bias)
                weights["weight_hr"] = getattr(of, f"weight_hr{end}")
        elif isinstance(of, (nn.GRU, nn.GRUCell)):
            cell = GRU(inputs, hidden, bias=of.bias)
        else:
            cell = Elman(inputs, hidden, nonlinearity=of.nonlinearity, bias=of.bias)
    if of.bias:
        weights.update({name: getattr(of, f"{name}{end}") for name in ("bias_ih", "bias_hh")})
    for name, weight in weights.items():
        cell._parameters[name] = weight
    return cell
