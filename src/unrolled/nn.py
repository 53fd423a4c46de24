"""Drop-in twins of `torch.nn`'s recurrent modules, faster on a CPU where torch is slow.

    from unrolled.nn import LSTM        # in the place of: from torch.nn import LSTM

Each class is a subclass of torch's of the same name: constructor, parameters, `state_dict`, copying, pickling, moving
between devices and types are torch's own code. Only the way of computing differs, and only where it pays (see
`unrolled.unroll.native`): a `PackedSequence` on a CPU, and a single time step of an LSTM. Everything else, among it
every input that torch refuses, goes to torch's own `forward`, so that the errors are torch's own too. From the same
seed, dropout between layers drops what torch's drops.

`torch.compile` leaves these modules out of its graph, as it does with torch's. Two things look for torch's exact class
and do not know these: `torch.jit.script`, which fails, and `torch.ao.quantization.quantize_dynamic`, which passes over
them. For both, load the `state_dict` into torch's module.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import _VF, Tensor
from torch.nn.utils.rnn import PackedSequence

from unrolled.unroll import native
from unrolled.unroll.packing import eager, reverse

__all__ = ["GRU", "LSTM", "RNN", "GRUCell", "LSTMCell", "RNNCell"]


class _Twin(torch.nn.RNNBase):
    """What the three have in common. In the method resolution order it stands before torch's class.

    Inside, the hidden state is a tuple (h,) or (h, c), each (layers * directions, batch, features).
    """

    def _ours(self, input: Any, hx: Any) -> tuple[Any, Any] | None:
        """The result, or None where torch's own forward is to be taken."""
        if torch.compiler.is_compiling():
            return None
        if isinstance(input, PackedSequence):
            fused = self.mode == "LSTM" and native.is_fused(self._weights()[0], input.data)
            if (fused or native.is_quadratic(input)) and self._suits(input, hx):
                return self._unroll(input, hx)
        elif self._is_one_step(input):
            time = 1 if self.batch_first else 0
            step = PackedSequence(input.squeeze(time), torch.tensor([input.shape[1 - time]]))
            if self._suits(step, hx):
                outputs, hidden = self._unroll(step, hx)
                return outputs.data.unsqueeze(time), hidden
        return None

    def _is_one_step(self, input: Any) -> bool:
        """Whether this is one step of an LSTM whose weights are large beside its batch.

        OneDNN would re-arrange the weights at each call; the rule is where going round it was never slower.
        """
        if self.mode != "LSTM" or not isinstance(input, Tensor) or input.dim() != 3:
            return False
        batch, time = input.shape[:2] if self.batch_first else (input.shape[1], input.shape[0])
        pays = self.hidden_size >= 256 and 0 < 8 * batch <= self.hidden_size
        return time == 1 and pays and native.is_fused(self._weights()[0], input)

    def _suits(self, x: PackedSequence, hx: Any) -> bool:
        """Whether this is what torch would take, on a CPU. What is wrong with any other, torch says best."""
        self._update_flat_weights()
        data, sizes, weights = x.data, x.batch_sizes, self._flat_weights
        if torch.jit.is_tracing() or torch.is_autocast_enabled("cpu"):
            return False
        if not all(isinstance(w, Tensor) and (w.device.type, w.dtype) == ("cpu", data.dtype) for w in weights):
            return False
        if data.device.type != "cpu" or data.dim() != 2 or data.shape != (int(sizes.sum()), self.input_size):
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

    @eager
    def _unroll(self, x: PackedSequence, hx: Any) -> tuple[PackedSequence, Any]:
        """hx, and the hidden state that is returned, are as torch's: in the caller's order of rows."""
        if hx is None:
            state = tuple(x.data.new_zeros(shape) for shape in self._shapes(int(x.batch_sizes[0])))
        else:
            hx = self.permute_hidden(hx, x.sorted_indices)
            state = tuple(hx) if self.mode == "LSTM" else (hx,)
        equal = int(x.batch_sizes[0]) == int(x.batch_sizes[-1])
        if equal and len(x.batch_sizes) > 1 and not self.proj_size:
            data, final = self._whole_stack(x, state)
        else:
            data, final = self._layer_by_layer(x, state)
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

    def _layer_by_layer(self, x: PackedSequence, state: native.States) -> tuple[Tensor, native.States]:
        directions = 2 if self.bidirectional else 1
        weights, before = self._weights(), list(zip(*(s.unbind(0) for s in state), strict=True))
        final: list[native.States] = []
        for layer in range(self.num_layers):
            if layer and self.dropout and self.training:
                x = x._replace(data=torch.dropout(x.data, self.dropout, True))
            outputs = []
            for direction in range(directions):
                k = layer * directions + direction
                source = reverse(x) if direction else x
                data, after = native.run(self.mode.lower(), weights[k], source, before[k])
                outputs.append(reverse(x._replace(data=data)).data if direction else data)
                final.append(after)
            x = x._replace(data=torch.cat(outputs, dim=1) if direction else data)
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


class RNNCell(torch.nn.RNNCell):
    """The twin of `torch.nn.RNNCell`. Torch computes a single step as fast as its operations allow, so this is it."""


class LSTMCell(torch.nn.LSTMCell):
    """The twin of `torch.nn.LSTMCell`. Torch computes a single step as fast as its operations allow, so this is it."""


class GRUCell(torch.nn.GRUCell):
    """The twin of `torch.nn.GRUCell`. Torch computes a single step as fast as its operations allow, so this is it."""
