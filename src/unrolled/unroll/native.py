"""Torch's own kernels: the LSTM, with and without projection, the GRU and the simple recurrent network.

Same signature and, up to rounding, same result as `scan`: outputs, state, every gradient, second derivatives. On a CPU
there are several ways to call them, since torch is fast on some inputs and slow on others. Ratios are times over
torch's packed kernel on the same input, hidden size 64 to 512, 8 to 64 rows, one core of a Zen 4, torch 2.13, other
work going on beside it; `benchmarks/speed.py` measures again (`UNROLLED_KERNELS=none`: all that is ours is this).

- Equal lengths: a packed batch is then a padded one without padding, and is seen as such, at no cost.
- One time step, LSTM: oneDNN re-arranges the weights at each call, which a single step never earns back; torch's
  `lstm_cell` does not: 1.2 to 6 times as fast.
- Ragged, where oneDNN has a fused kernel (the LSTM in float32 and bfloat16). It takes padded input only, so the
  batch is laid out as a staircase of a few rectangles with a little padding, and the state goes from each to the next:
  1.4 to 3.5 times in training, 1.1 to 2.5 in inference. Padding all of 32 or 64 rows would be 0.5 to 1.8 times.
- Ragged, the GRU and the simple network, where gradients are wanted: `handwritten`, 1.3 to 1.9 times. (A staircase gave
  the GRU 0.9 to 1.2 times.)
- Ragged, all else: torch's packed kernel, whose backward pass allocates a whole gradient for each time step and is so
  quadratic in the length. It gets a few dozen time steps at a time, which makes it linear: 1.0 times where the longest
  row has 30 elements, 1.0 to 1.5 at 60, 1.6 to 4 at 300 to 600.

In the staircase a row that has ended must keep its state. Its outputs are not read again, so h is the output at the
last true element; but c is not among the outputs. One more input feature, 1 in padding and 0 elsewhere, with a weight
of -SHUT to the input gate and SHUT to the forget gate, makes these exactly 0 and 1: c passes unchanged, and no gradient
flows from or to the padding.

On other devices all goes to torch's packed kernel (cuDNN has a good one).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial

import torch
from torch import _VF, Tensor
from torch.nn.utils.rnn import PackedSequence

from unrolled.cells.base import Cell, State
from unrolled.cells.elman import Elman
from unrolled.cells.gru import GRU
from unrolled.cells.lstm import LSTM
from unrolled.cells.lstm_projected import LSTMProjected
from unrolled.unroll import handwritten
from unrolled.unroll.packing import Staircase, eager, layout, reverse, staircase

SEGMENT = 100
"""What a segment of the staircase costs, in elements: a call and its weights' re-arrangement. 70 to 140 were alike."""

STEPS = 32
"""Time steps that the packed kernel gets at once. 12 to 32 were alike; below 12 the calls cost."""

SHUT = 1e9
"""A gate's argument that no input overcomes; its sigmoid is exactly 1, and that of its negative exactly 0."""

WEIGHTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
"""The order in which torch's kernels want them; a cell lacks some."""

States = tuple[Tensor, ...]
"""(h,) or (h, c), each (batch, features)."""


def supports(cell: Cell, x: PackedSequence) -> bool:
    """Whether torch has a kernel for exactly this cell. A wrapper or a subclass computes something else."""
    if type(cell) is LSTMProjected:
        # Torch's kernel sees a projection only where h and c differ in size.
        fits = cell.proj_size < cell.hidden_size
    else:
        fits = type(cell) in (LSTM, GRU, Elman)
    return fits and (x.data.dtype, x.data.device) == (cell.weight_ih.dtype, cell.weight_ih.device)


@eager
def unroll(cell: Cell, x: PackedSequence, state: State | None = None) -> tuple[PackedSequence, State]:
    """Run a cell over a packed batch with torch's kernels.

    Args:
        cell: one that `supports` says yes to.
        x: data of shape (elements, input), with B = batch_sizes[0] rows.
        state: B rows in *packed* order (longest first); `cell.initial_state(B)` where None.

    Returns:
        As `scan.unroll`: outputs, packed as x is, and each row's state after its own last element.
    """
    if state is None:
        state = cell.initial_state(int(x.batch_sizes[0]))
    weights = [getattr(cell, name, None) for name in WEIGHTS]
    given = (state,) if isinstance(state, Tensor) else state
    outputs, final = run(_kernel(cell), [w for w in weights if w is not None], x, given)
    return x._replace(data=outputs), final[0] if isinstance(state, Tensor) else final


def _kernel(cell: Cell) -> str:
    if isinstance(cell, Elman):
        return f"rnn_{cell.nonlinearity}"
    return "gru" if isinstance(cell, GRU) else "lstm"


@eager
def run(kernel: str, weights: Sequence[Tensor], x: PackedSequence, state: States) -> tuple[Tensor, States]:
    """One layer, one direction.

    Args:
        kernel: "lstm", "gru", "rnn_tanh" or "rnn_relu".
        weights: weight_ih, weight_hh, then bias_ih, bias_hh where there are biases, then weight_hr of a projection.
        x: data of shape (elements, input).
        state: (h,) or (h, c), rows in packed order.

    Returns:
        Outputs (elements, output), and the state after each row's last element.
    """
    if x.data.device.type != "cpu":
        return _packed(kernel, weights, x.data, x.batch_sizes, state)
    sizes = x.batch_sizes
    fused = kernel == "lstm" and is_fused(weights, x.data)
    # A padded projected LSTM would be no faster, and torch warns that oneDNN has none.
    if int(sizes[0]) == int(sizes[-1]) and not _is_projected(weights):
        if fused and len(sizes) == 1:
            h, c = _VF.lstm_cell(x.data, state, *(weights if len(weights) > 2 else (*weights, None, None)))
            return h, (h, c)
        outputs, final = _padded(kernel, weights, x.data.unflatten(0, (len(sizes), -1)), state)
        return outputs.flatten(0, 1), final
    if fused:
        return _up_the_stairs(weights, x, state, staircase(sizes, SEGMENT))
    if kernel != "lstm" and torch.is_grad_enabled():
        outputs, last = handwritten.run(kernel, weights, x.data, sizes, state[0], partial(_derivable, kernel, sizes))
        return outputs, (last,)
    if is_quadratic(x):
        return _a_few_steps_at_a_time(kernel, weights, x, state)
    return _packed(kernel, weights, x.data, sizes, state)


@eager
def run_layer(
    kernel: str, weights: Sequence[Sequence[Tensor]], x: PackedSequence, states: Sequence[States]
) -> tuple[Tensor, list[States]]:
    """One layer, one direction or both, the second of which reads backwards: outputs side by side, and states."""
    outputs, final = [], []
    for direction, (w, state) in enumerate(zip(weights, states, strict=True)):
        data, after = run(kernel, w, reverse(x) if direction else x, state)
        outputs.append(reverse(x._replace(data=data)).data if direction else data)
        final.append(after)
    return torch.cat(outputs, dim=1) if len(outputs) > 1 else outputs[0], final


def is_quadratic(x: PackedSequence) -> bool:
    """Whether torch's packed kernel would take time quadratic in the length, and the length is such that it matters."""
    return torch.is_grad_enabled() and len(x.batch_sizes) > STEPS


def beats_packed(kernel: str, weights: Sequence[Tensor], x: PackedSequence) -> bool:
    """Whether a packed batch on a CPU is better run here than by torch's packed kernel."""
    plain = kernel != "lstm" and torch.is_grad_enabled() and not _is_projected(weights)
    return plain or is_quadratic(x) or (kernel == "lstm" and is_fused(weights, x.data))


def is_fused(weights: Sequence[Tensor], x: Tensor) -> bool:
    """Whether oneDNN runs an LSTM of these weights as one kernel. A wrong guess costs time, never the result."""
    return (
        not _is_projected(weights)
        and x.device.type == "cpu"
        and x.dtype in (torch.float32, torch.bfloat16)
        # Autocast has its own mind about which kernel runs in which type.
        and not torch.is_autocast_enabled("cpu")
        and torch.backends.mkldnn.is_available()
    )


def _is_projected(weights: Sequence[Tensor]) -> bool:
    return len(weights) in (3, 5)


def _derivable(
    kernel: str, sizes: Tensor, weights: Sequence[Tensor], data: Tensor, h0: Tensor
) -> tuple[Tensor, Tensor]:
    outputs, (last,) = _packed(kernel, weights, data, sizes, (h0,))
    return outputs, last


def _padded(kernel: str, weights: Sequence[Tensor], x: Tensor, state: States) -> tuple[Tensor, States]:
    """x: (time, batch, input)."""
    before = [s.unsqueeze(0) for s in state]
    options = (len(weights) > 3, 1, 0.0, False, False, False)
    outputs, *after = getattr(_VF, kernel)(x, before if kernel == "lstm" else before[0], weights, *options)
    return outputs, tuple(s.squeeze(0) for s in after)


def _packed(
    kernel: str, weights: Sequence[Tensor], data: Tensor, batch_sizes: Tensor, state: States
) -> tuple[Tensor, States]:
    before = [s.unsqueeze(0) for s in state]
    # cuDNN derives what it ran "in training" alone; without dropout that is no other function.
    options = (len(weights) > 3, 1, 0.0, data.is_cuda and torch.is_grad_enabled(), False)
    given = before if kernel == "lstm" else before[0]
    with _scattered() if data.is_cuda else nullcontext():
        outputs, *after = getattr(_VF, kernel)(data, batch_sizes, given, weights, *options)
    return outputs, tuple(s.squeeze(0) for s in after)


@contextmanager
def _scattered() -> Iterator[None]:
    """cuDNN wants all weights in one piece. It copies those of a cell together at each call, which is a small part of
    it, and warns.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "RNN module weights are not part")
        yield


def _a_few_steps_at_a_time(
    kernel: str, weights: Sequence[Tensor], x: PackedSequence, state: States
) -> tuple[Tensor, States]:
    pieces = x.batch_sizes.split(STEPS)
    outputs, ended = [], []
    for data, sizes in zip(x.data.split([int(piece.sum()) for piece in pieces]), pieces, strict=True):
        state, done = _still_alive(state, int(sizes[0]))
        ended.append(done)
        output, state = _packed(kernel, weights, data, sizes, state)
        outputs.append(output)
    return torch.cat(outputs), _rejoined(state, ended)


def _up_the_stairs(
    weights: Sequence[Tensor], x: PackedSequence, state: States, stairs: Staircase
) -> tuple[Tensor, States]:
    weights = [_with_shutter(weights[0]), *weights[1:]]
    data = torch.cat([x.data.index_select(0, stairs.source), stairs.padding.to(x.data.dtype).unsqueeze(1)], dim=1)
    outputs, ended = [], []
    places = [(s.stop - s.start) * s.width for s in stairs.segments]
    for segment, part in zip(stairs.segments, data.split(places), strict=True):
        state, done = _still_alive(state, segment.width)
        ended.append(done)
        output, state = _padded("lstm", weights, part.unflatten(0, (-1, segment.width)), state)
        outputs.append(output.flatten(0, 1))
    elements = torch.cat(outputs).index_select(0, stairs.place)
    _, c = _rejoined(state, ended)
    # What the kernel gives as the last h of a row that has ended belongs to its padding.
    return elements, (elements.index_select(0, layout(x.batch_sizes).last), c)


def _still_alive(state: States, rows: int) -> tuple[States, States]:
    """The state's first rows, and the others, which have ended."""
    if rows == len(state[0]):
        return state, ()
    return tuple(s[:rows] for s in state), tuple(s[rows:] for s in state)


def _rejoined(state: States, ended: Sequence[States]) -> States:
    # The shortest rows ended first and stand last in packed order.
    parts = [state, *(done for done in reversed(ended) if done)]
    return tuple(map(torch.cat, zip(*parts, strict=True))) if len(parts) > 1 else state


def _with_shutter(weight_ih: Tensor) -> Tensor:
    """A further input feature that shuts the input gate and opens the forget gate. (4 * hidden, input + 1)."""
    hidden = weight_ih.shape[0] // 4
    shutter = weight_ih.new_zeros(4 * hidden, 1)
    shutter[:hidden], shutter[hidden : 2 * hidden] = -SHUT, SHUT
    return torch.cat([weight_ih, shutter], dim=1)
