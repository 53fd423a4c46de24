"""Drop-in twins of `torch.nn`'s recurrent modules, faster on a CPU where torch is slow.

    from unrolled.nn import LSTM        # in the place of: from torch.nn import LSTM

Each class is a subclass of torch's of the same name: constructor, parameters, `state_dict`, copying, pickling, moving
between devices and types are torch's own code. Only the way of computing differs, and only where it pays (see
`unrolled.unroll.fused` and `.native`): on a CPU, in float32, nearly everything; oneDNN's LSTM is left to inference over
many rows of one length. Everything else, among it every input that torch refuses, goes to torch's own `forward`, so
that the errors are torch's own too. From the same seed, dropout between layers drops
what torch's drops.

`torch.compile` leaves these modules out of its graph, as it does with torch's. Two things look for torch's exact class
and do not know these: `torch.jit.script`, which fails, and `torch.ao.quantization.quantize_dynamic`, which passes over
them. For both, load the `state_dict` into torch's module.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import _VF, Tensor
from torch.nn.utils.rnn import PackedSequence

from unrolled.kernels.recurrence import Weights
from unrolled.unroll import fused, native
from unrolled.unroll.packing import eager, equal

__all__ = ["GRU", "LSTM", "RNN", "GRUCell", "LSTMCell", "RNNCell"]


FEW_ROWS, UNITS_A_ROW = 32, 32
"""In inference over rows of one length oneDNN's LSTM is the quicker one where there are many: above so many rows for
several threads, and for a single one above a row for so many units."""

SMALL_STEP = 1 << 18
"""Multiplications of a single step below which calling our kernels costs more than they save."""


class _Twin(torch.nn.RNNBase):
    """What the three have in common. In the method resolution order it stands before torch's class.

    Inside, the hidden state is a tuple (h,) or (h, c), each (layers * directions, batch, features).
    """

    def _ours(self, input: Any, hx: Any) -> tuple[Any, Any] | None:
        """The result, or None where torch's own forward is to be taken."""
        if torch.compiler.is_compiling() or torch.jit.is_tracing() or fused.is_transformed():
            return None
        self._update_flat_weights()
        if isinstance(input, PackedSequence):
            ours = self._runs_fused(input.data)
            pays = ours or native.beats_packed(self.mode.lower(), self._weights()[0], input)
            if pays and self._suits(input, hx, ours, int(input.batch_sizes.sum())):
                return self._unroll(input, hx, ours)
        elif isinstance(input, Tensor) and input.dim() in (2, 3) and input.numel():
            if input.dim() == 3 and input.shape[self.batch_first] == 1 and not torch.is_grad_enabled():
                # Before a single step oneDNN arranges an LSTM's weights anew.
                work = input.shape[1 - self.batch_first] * len(self._weights()[0][1]) * 2 * self.hidden_size
                if self.mode != "LSTM" and work < SMALL_STEP:
                    return None
                done = self._single(input, hx)
                if done is not None:
                    return done
            ours = self._runs_fused(input)
            if self._pays_padded(input, ours):
                return self._padded(input, hx, ours)
        return None

    def _padded(self, input: Tensor, hx: Any, ours: bool) -> tuple[Any, Any] | None:
        """A padded batch is a packed one without padding: all rows are of one length."""
        batched = input.dim() == 3
        if not batched:
            input = input.unsqueeze(1)
            if isinstance(hx, Tensor):
                hx = hx.unsqueeze(1)
            elif isinstance(hx, (tuple, list)):
                hx = tuple(h.unsqueeze(1) if isinstance(h, Tensor) else h for h in hx)
        elif self.batch_first:
            input = input.transpose(0, 1)
        time, batch = input.shape[:2]
        x = PackedSequence(input.reshape(time * batch, input.shape[2]), equal(time, batch))
        if not self._suits(x, hx, ours, time * batch):
            return None
        outputs, hidden = self._unroll(x, hx, ours)
        data = outputs.data.view(time, batch, -1)
        if batched:
            return data.transpose(0, 1) if self.batch_first else data, hidden
        return data.squeeze(1), tuple(h.squeeze(1) for h in hidden) if isinstance(hidden, tuple) else hidden.squeeze(1)

    def _single(self, input: Tensor, hx: Any) -> tuple[Any, Any] | None:
        """One step without gradients, input (1, batch, features) or batch first, as cells on top of each other."""
        x, is_lstm = input.squeeze(int(self.batch_first)), self.mode == "LSTM"
        if hx is None:
            state = tuple(x.new_zeros(shape) for shape in self._shapes(len(x)))
        else:
            state = tuple(hx) if is_lstm and isinstance(hx, (tuple, list)) else (hx,)
        shapes = self._shapes(len(x))
        if len(state) != len(shapes) or not all(isinstance(s, Tensor) for s in state):
            return None
        if [(s.shape, s.dtype, s.device) for s in state] != [(shape, torch.float32, x.device) for shape in shapes]:
            return None
        weights, kind, directions = self._named_weights(), self._kind(), 1 + self.bidirectional
        final = []
        for layer in range(self.num_layers):
            if layer and self.dropout and self.training:
                x = torch.dropout(x, self.dropout, True)
            for place in range(layer * directions, (layer + 1) * directions):
                after = fused.tick(kind, weights[place], x, tuple(s[place] for s in state))
                if after is None:
                    return None
                final.append(after)
            x = torch.cat([h for h, *_ in final[-directions:]], dim=1) if directions > 1 else final[-1][0]
        hidden = tuple(map(torch.stack, zip(*final, strict=True)))
        return x.unsqueeze(int(self.batch_first)), hidden if is_lstm else hidden[0]

    def _runs_fused(self, x: Tensor) -> bool:
        """Whether our kernels run all layers, of which the first reads x, (…, input)."""
        if not fused.pays(x):
            return False
        above, kind = (self.proj_size or self.hidden_size) * (1 + self.bidirectional), self._kind()
        features = [x.shape[-1] if k <= self.bidirectional else above for k in range(len(self._weights()))]
        return all(fused.knows(kind, n, w) for n, w in zip(features, self._named_weights(), strict=True))

    def _pays_padded(self, input: Tensor, ours: bool) -> bool:
        """Whether a padded batch is better not given to torch. ours: whether our kernels run it.

        Where ours does not run it, there is one case: for a single step oneDNN would re-arrange an LSTM's weights; the
        rule is where going round it was never slower.
        """
        batch, time = (1, len(input)) if input.dim() == 2 else (input.shape[1], input.shape[0])
        if self.batch_first and input.dim() == 3:
            batch, time = time, batch
        if ours and (self.mode != "LSTM" or self.proj_size or self._beats_onednn(batch)):
            return True
        pays = self.hidden_size >= 256 and 0 < 8 * batch <= self.hidden_size
        single = input.dim() == 3 and time == 1 and self.mode == "LSTM" and pays and not self.proj_size
        return single and native.is_fused(self._weights()[0], input)

    def _beats_onednn(self, batch: int) -> bool:
        """Whether our LSTM is quicker than oneDNN's on rows of one length; in training it is."""
        few = batch <= FEW_ROWS and torch.get_num_threads() > 1
        return torch.is_grad_enabled() or few or batch * UNITS_A_ROW <= self.hidden_size

    def _suits(self, x: PackedSequence, hx: Any, ours: bool, elements: int) -> bool:
        """Whether this is what torch would take, on a CPU. What is wrong with any other, torch says best.

        ours: whether our kernels run it, and so have looked at the weights and at what x is made of.
        """
        data, sizes = x.data, x.batch_sizes
        if torch.is_autocast_enabled("cpu") and not (fused.is_half() and ours):
            return False
        alike = ours or all(
            isinstance(w, Tensor) and (w.device.type, w.dtype) == ("cpu", data.dtype) for w in self._flat_weights
        )
        if not alike or data.device.type != "cpu" or data.dim() != 2 or data.shape != (elements, self.input_size):
            return False
        if hx is None:
            return True
        given = hx if isinstance(hx, (tuple, list)) else (hx,)
        shapes = self._shapes(int(sizes[0]))
        return isinstance(hx, (tuple, list)) == (self.mode == "LSTM") and [
            (h.shape, h.dtype, h.device) for h in given if isinstance(h, Tensor)
        ] == [(shape, data.dtype, data.device) for shape in shapes]

    def _shapes(self, batch: int) -> list[tuple[int, int, int]]:
        """Of h, and of c where there is one."""
        count = self.num_layers * (1 + self.bidirectional)
        sizes = [self.proj_size or self.hidden_size, self.hidden_size]
        return [(count, batch, size) for size in sizes[: 2 if self.mode == "LSTM" else 1]]

    def _weights(self) -> list[list[Tensor]]:
        """The weights of each direction of each layer, in torch's order."""
        each = len(self._flat_weights) // (self.num_layers * (1 + self.bidirectional))
        return [self._flat_weights[k : k + each] for k in range(0, len(self._flat_weights), each)]  # type: ignore[misc]

    def _kind(self) -> str:
        """The kernels' name of the cell."""
        return "lstm_projected" if self.proj_size else self.mode.lower()

    def _named_weights(self) -> list[Weights]:
        """The weights of each direction of each layer, by their names."""
        count = 4 if self.bias else 2
        return [
            Weights(*w[:count], hr=w[count]) if self.proj_size else Weights(*w)  # type: ignore[misc]
            for w in self._weights()
        ]

    @eager
    def _unroll(self, x: PackedSequence, hx: Any, ours: bool) -> tuple[PackedSequence, Any]:
        """hx, and the hidden state that is returned, are as torch's: in the caller's order of rows."""
        if hx is None:
            shapes = self._shapes(int(x.batch_sizes[0]))
            zeros = {shape: x.data.new_zeros(shape) for shape in set(shapes)}  # nothing writes into them
            state = tuple(zeros[shape] for shape in shapes)
        else:
            hx = self.permute_hidden(hx, x.sorted_indices)
            state = tuple(hx) if self.mode == "LSTM" else (hx,)
        equal = int(x.batch_sizes[0]) == int(x.batch_sizes[-1])
        if equal and len(x.batch_sizes) > 1 and not self.proj_size and not ours:
            data, final = self._whole_stack(x, state)
        else:
            data, final = self._layer_by_layer(x, state, ours)
        hidden: Any = final if self.mode == "LSTM" else final[0]
        return x._replace(data=data), self.permute_hidden(hidden, x.unsorted_indices)

    def _whole_stack(self, x: PackedSequence, state: native.States) -> tuple[Tensor, native.States]:
        """All rows are of one length: torch's call for padded input, of which none is padding."""
        outputs, *final = getattr(_VF, self.mode.lower())(
            x.data.unflatten(0, (len(x.batch_sizes), -1)),
            state if self.mode == "LSTM" else state[0],
            self._flat_weights,
            self.bias,
            self.num_layers,
            self.dropout,
            self.training,
            self.bidirectional,
            False,
        )
        return outputs.flatten(0, 1), tuple(final)

    def _layer_by_layer(self, x: PackedSequence, state: native.States, ours: bool) -> tuple[Tensor, native.States]:
        directions = 2 if self.bidirectional else 1
        before = list(zip(*(s.unbind(0) for s in state), strict=True))
        weights: list[Any] = self._named_weights() if ours else self._weights()
        final: list[native.States] = []
        for layer in range(self.num_layers):
            if layer and self.dropout and self.training:
                x = x._replace(data=torch.dropout(x.data, self.dropout, True))
            here = slice(layer * directions, (layer + 1) * directions)
            if ours:
                data, after = fused.run(self._kind(), weights[here], x, before[here])
            else:
                data, after = native.run_layer(self.mode.lower(), weights[here], x, before[here])
            final += after
            x = x._replace(data=data)
        if len(final) == 1:
            return x.data, tuple(s.unsqueeze(0) for s in final[0])
        return x.data, tuple(map(torch.stack, zip(*final, strict=True)))


class RNN(_Twin, torch.nn.RNN):
    """The twin of `torch.nn.RNN`: same arguments, inputs, outputs, parameters and errors."""

    def forward(self, input: Any, hx: Any = None) -> tuple[Any, Any]:
        ours = self._ours(input, hx)
        return super().forward(input, hx) if ours is None else ours


class LSTM(_Twin, torch.nn.LSTM):
    """The twin of `torch.nn.LSTM`: same arguments, inputs, outputs, parameters and errors."""

    def forward(self, input: Any, hx: Any = None) -> tuple[Any, Any]:
        ours = self._ours(input, hx)
        return super().forward(input, hx) if ours is None else ours


class GRU(_Twin, torch.nn.GRU):
    """The twin of `torch.nn.GRU`: same arguments, inputs, outputs, parameters and errors."""

    def forward(self, input: Any, hx: Any = None) -> tuple[Any, Any]:
        ours = self._ours(input, hx)
        return super().forward(input, hx) if ours is None else ours


class _CellTwin(torch.nn.RNNCellBase):
    """What the three cells have in common: a step without gradients is one call of our kernels."""

    def _ours(self, kind: str, input: Any, hx: Any) -> native.States | None:
        """The state after the step, or None where torch's own forward is to be taken; it also says what is wrong."""
        if torch.is_grad_enabled() or not isinstance(input, Tensor) or input.dim() != 2 or not len(input):
            return None
        if torch.compiler.is_compiling() or torch.jit.is_tracing():
            return None
        if len(input) * self.weight_hh.shape[0] * (self.input_size + self.hidden_size) < SMALL_STEP:
            return None
        state = _whole_state(hx, 2 if kind == "lstm" else 1, input, self.hidden_size)
        weights = Weights(self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
        return None if state is None else fused.tick(kind, weights, input, state)


def _whole_state(hx: Any, count: int, input: Tensor, hidden: int) -> native.States | None:
    """(h,) or (h, c), of the rows of the input; None where it is none of these, nor left out."""
    shape = (len(input), hidden)
    if hx is None:
        return (input.new_zeros(shape),) * count
    state = (hx,) if isinstance(hx, Tensor) else tuple(hx) if isinstance(hx, (tuple, list)) else ()
    suits = all(isinstance(h, Tensor) and h.shape == shape and h.dtype is torch.float32 and h.is_cpu for h in state)
    return state if suits and len(state) == count and isinstance(hx, Tensor) == (count == 1) else None


class RNNCell(_CellTwin, torch.nn.RNNCell):
    """The twin of `torch.nn.RNNCell`: same arguments, inputs, outputs, parameters and errors."""

    def forward(self, input: Tensor, hx: Any = None) -> Any:
        ours = self._ours(f"rnn_{self.nonlinearity}", input, hx)
        return super().forward(input, hx) if ours is None else ours[0]


class LSTMCell(_CellTwin, torch.nn.LSTMCell):
    """The twin of `torch.nn.LSTMCell`: same arguments, inputs, outputs, parameters and errors."""

    def forward(self, input: Tensor, hx: Any = None) -> Any:
        ours = self._ours("lstm", input, hx)
        return super().forward(input, hx) if ours is None else ours


class GRUCell(_CellTwin, torch.nn.GRUCell):
    """The twin of `torch.nn.GRUCell`: same arguments, inputs, outputs, parameters and errors."""

    def forward(self, input: Tensor, hx: Any = None) -> Any:
        ours = self._ours("gru", input, hx)
        return super().forward(input, hx) if ours is None else ours[0]
