"""Recurrent layers by the compiled kernels: one layer, one or both directions, forwards and its gradients.

Everything that the compiled code takes on trust is looked at here: shapes, types, devices, strides, that the batch's
sizes fall and add up. The tensors that it writes are made here, so that nothing overlaps.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from unrolled.kernels import products
from unrolled.kernels.library import Layer, load, needed
from unrolled.kernels.matrix import rows

SMALL = 1 << 20
"""Multiplications of a pass below which a second thread costs more than it brings."""

MOVED = 16
"""What laying out one weight costs, in multiplications."""


class Kind(NamedTuple):
    """A cell as the kernels see it.

    code: its place in `csrc/kernels.h`; blocks: of the weights' rows; width: floats an element keeps, in hidden sizes;
    memory: whether it has a cell state; middle: whether its ticks have a second product; inputs: the products with
    the input's weights, (first block of the weights, how many, first block of the gates).
    """

    code: int
    blocks: int
    width: int
    memory: bool
    middle: bool = False
    apart: tuple[tuple[int, int, int], ...] = ()

    @property
    def inputs(self) -> tuple[tuple[int, int, int], ...]:
        return self.apart or ((0, self.blocks, 0),)


KINDS = {
    "lstm": Kind(0, 4, 4, True),
    "lstm_peephole": Kind(1, 4, 4, True),
    "lstm_coupled": Kind(2, 3, 3, True),
    "gru": Kind(3, 3, 4, False, apart=((0, 2, 0), (2, 1, 3))),
    "rnn_tanh": Kind(4, 1, 1, False),
    "rnn_relu": Kind(5, 1, 1, False),
    "lstm_projected": Kind(6, 4, 4, True, True),
    "gru_cho": Kind(7, 3, 3, False, True),
}
"""Name -> what the kernels need to know. torch's GRU keeps the product of n apart from n's share of the input."""


class Weights(NamedTuple):
    """Of one direction.

    ih: (blocks * hidden, input); hh: (blocks * hidden, output); biases: (blocks * hidden,) or None; vectors: peepholes
    of i, f and o, (3, hidden), where the cell has them; hr: (output, hidden), the projection of an `lstm_projected`.
    The output is the hidden state; it has `hidden` features where nothing projects it.
    """

    ih: Tensor
    hh: Tensor
    bias_ih: Tensor | None = None
    bias_hh: Tensor | None = None
    vectors: Tensor | None = None
    hr: Tensor | None = None


@dataclass(frozen=True)
class Packed:
    """The weights of one direction, laid out for the pass forwards.

    kind: of `KINDS`; room: what the compiled code has written, in bytes; vectors: what its ticks read besides; bias:
    whether there is one; half: whether the weights are bfloat16; input, hidden, output: sizes.
    """

    kind: str
    room: Tensor
    vectors: Tensor | None
    bias: bool
    half: bool
    input: int
    hidden: int
    output: int


class Kept(NamedTuple):
    """What the gradients of one direction need. (elements, …): gates width * hidden, cells and middle hidden."""

    gates: Tensor
    cells: Tensor | None
    middle: Tensor | None


class Gradients(NamedTuple):
    """Of one direction: of its weights and of its initial state."""

    weights: Weights
    h0: Tensor
    c0: Tensor | None


def supports(kind: str, features: int, w: Weights) -> bool:
    """Whether the kernels can run these on elements of so many features: all is float32 on the CPU, the shapes fit."""
    return kind in KINDS and all(map(_is_plain, w)) and _fit(kind, w, features) and load() is not None


def _is_plain(t: Tensor | None) -> bool:
    return t is None or (t.dtype is torch.float32 and t.is_cpu)


def _fit(kind: str, w: Weights, input_size: int) -> bool:
    if w.hh.dim() != 2 or w.hh.shape[0] % KINDS[kind].blocks:
        return False
    rows, output = w.hh.shape
    hidden = rows // KINDS[kind].blocks
    projected = w.hr is not None and w.hr.shape == (output, hidden)
    if hidden < 1 or output < 1 or input_size < 1 or (w.bias_ih is None) is not (w.bias_hh is None):
        return False  # nothing to multiply, or half of the biases: the kernels are not for these
    biases = all(b is None or b.shape == (rows,) for b in (w.bias_ih, w.bias_hh))
    peepholes = (
        w.vectors is None if kind != "lstm_peephole" else w.vectors is not None and w.vectors.shape == (3, hidden)
    )
    fits = projected if kind == "lstm_projected" else w.hr is None and output == hidden
    return w.ih.shape == (rows, input_size) and biases and peepholes and fits


def pack(kind: str, w: Weights, half: bool = False) -> Packed:
    """Lay the weights out for the pass forwards, rounded to bfloat16 where `half` says so.

    Raises `ValueError` where their shapes do not fit each other.
    """
    layer, alive = Layer(), _given(kind, w)
    code, (hidden, output) = KINDS[kind].code, _sizes(kind, w)
    room = _room(code, half, w.ih.shape[1], hidden, output, backwards=False)
    _fill(layer, alive, room, hidden)
    needed().unrolled_pack(code, half, ctypes.byref(layer), _threads(w.ih.numel() * MOVED))
    return Packed(kind, room, alive.vectors, w.bias_ih is not None, half, w.ih.shape[1], hidden, output)


def forward(
    kind: str,
    x: Tensor,
    sizes: Tensor,
    starts: Tensor,
    weights: Sequence[Packed | Weights],
    states: Sequence[tuple[Tensor, ...]],
    keep: bool,
    half: bool = False,
) -> tuple[Tensor, list[tuple[Tensor, ...]], list[Kept]]:
    """Run a layer over a packed batch.

    Args:
        kind: of `KINDS`.
        x: (elements, input).
        sizes, starts: (time,) rows alive at each time, and the first element of each.
        weights: of one direction, or of both, of which the second reads backwards: laid out, or as they are.
        states: of each direction (h0,) or (h0, c0), each (batch, features), in packed order.
        keep: whether what `backward` needs is kept.
        half: whether weights that are not laid out are rounded to bfloat16.

    Returns:
        Outputs (elements, directions * output), the state after each row's last element, what was kept.
    """
    _look_at(x, sizes, starts)
    k, half, x = KINDS[kind], _in_one_type(weights, half), rows(x)
    batch, (count, features) = int(sizes[0]), x.shape
    given = [w if isinstance(w, Packed) else _given(kind, w) for w in weights]
    each = [_sizes(kind, w) for w in given]
    outputs = x.new_empty(count, sum(output for _, output in each))
    layers, alive, kept = (Layer * len(given))(), [], []
    final: list[tuple[Tensor, ...]] = []
    for place, (layer, w, (hidden, output), state) in enumerate(zip(layers, given, each, states, strict=True)):
        if isinstance(w, Packed):
            room = w.room
            _fill_packed(layer, w)
        else:
            room = _room(k.code, half, features, hidden, output, backwards=False)
            _fill(layer, w, room, hidden)
        if layer.input != features:
            raise ValueError(f"the weights are for {layer.input} features, x has {features}")
        h0, last = _state(state[0], batch, output), x.new_empty(batch, output)
        c = _state(state[1], batch, hidden).clone() if k.memory else None
        gates = x.new_empty(count, k.width * hidden)
        cells = x.new_empty(count, hidden) if keep and k.memory else None
        middle = x.new_empty(count, hidden) if k.middle else None
        final.append((last,) if c is None else (last, c))
        _where(layer, x, sizes, starts, batch, place)
        if isinstance(w, Weights) and products.are_torchs(half, count * w.ih.numel()):
            products.read(k.inputs, x, w.ih, _biases(kind, w, hidden), gates, hidden)
            layer.given = 1
        layer.gates, layer.gates_stride, layer.keep = gates.data_ptr(), k.width * hidden, keep
        layer.cells, layer.middle, layer.c = _pointer(cells), _pointer(middle), _pointer(c)
        layer.h0, layer.last = h0.data_ptr(), last.data_ptr()
        layer.h, layer.h_stride = outputs.data_ptr() + 4 * place * each[0][1], outputs.shape[1]
        kept.append(Kept(gates, cells, middle))
        alive.append((w, room, h0))
    work = count * sum(k.blocks * hidden * (features + output) for hidden, output in each)
    needed().unrolled_forward(k.code, half, layers, len(given), _threads(work))
    return outputs, final, kept


def backward(
    kind: str,
    x: Tensor,
    sizes: Tensor,
    starts: Tensor,
    weights: Sequence[Weights],
    states: Sequence[tuple[Tensor, ...]],
    outputs: Tensor,
    kept: Sequence[Kept],
    gradient: Tensor,
    gradients: Sequence[tuple[Tensor, ...]],
    need_x: bool = True,
    half: bool = False,
) -> tuple[Tensor | None, list[Gradients]]:
    """The gradients of `forward`.

    Args:
        kind, x, sizes, starts, states: as there; outputs, kept: what it gave.
        weights: of each direction, as they were.
        gradient: of the outputs. gradients: of each direction's last state.
        need_x: whether the input's gradient is wanted.
        half: whether products are of bfloat16.
    """
    k, x, gradient = KINDS[kind], rows(x), rows(gradient)
    batch, (count, features) = int(sizes[0]), x.shape
    dx = torch.empty_like(x, memory_format=torch.contiguous_format) if need_x else None
    layers, alive, found, work, at = (Layer * len(weights))(), [], [], 0, 0
    for place, (layer, given, state, held, last) in enumerate(
        zip(layers, weights, states, kept, gradients, strict=True)
    ):
        w, (hidden, output) = _given(kind, given), _sizes(kind, given)
        room = _room(k.code, half, features, hidden, output, backwards=True)
        _fill(layer, w, room, hidden)
        h0, dh = _state(state[0], batch, output), _state(last[0], batch, output).clone()
        c0, dc = (_state(state[1], batch, hidden), _state(last[1], batch, hidden).clone()) if k.memory else (None, None)
        dgates, dtotal = torch.empty_like(held.gates), None if w.hr is None else x.new_empty(count, output)
        got = Weights(*(None if t is None else x.new_empty(t.shape) for t in given))  # type: ignore[arg-type]
        sums = x.new_empty(k.width * hidden)
        _where(layer, x, sizes, starts, batch, place)
        layer.gates, layer.gates_stride, layer.cells = held.gates.data_ptr(), k.width * hidden, _pointer(held.cells)
        layer.middle, layer.h0, layer.c0 = _pointer(held.middle), h0.data_ptr(), _pointer(c0)
        layer.h, layer.h_stride = outputs.data_ptr() + 4 * at, outputs.stride(0)
        layer.dh, layer.dh_stride = gradient.data_ptr() + 4 * at, gradient.stride(0)
        layer.dgates, layer.dtotal, layer.dh_carry = dgates.data_ptr(), _pointer(dtotal), dh.data_ptr()
        layer.dc_carry, layer.dx, layer.dx_stride = _pointer(dc), _pointer(dx), features
        layer.dih, layer.dih_stride = got.ih.data_ptr(), features
        layer.dhh, layer.dhr = got.hh.data_ptr(), _pointer(got.hr)
        layer.dbias, layer.dvectors = sums.data_ptr(), _pointer(got.vectors)
        if products.are_torchs(half, count * w.ih.numel()):
            layer.dx, layer.dih, layer.given = None, None, 1
        alive.append((w, room, h0, c0, dgates, dtotal))
        found.append((got, sums, hidden, dh, dc))
        work, at = work + 2 * count * k.blocks * hidden * (features + output), at + output
    needed().unrolled_backward(k.code, half, layers, len(weights), _threads(work))
    if dx is not None and any(layer.given for layer in layers):
        dx.zero_()
    for layer, (w, _, _, _, dgates, _), (got, _, hidden, _, _) in zip(layers, alive, found, strict=True):
        if layer.given:
            products.back(k.inputs, x, w.ih, dgates, hidden, got.ih, dx)
    return dx, [Gradients(_with_biases(kind, got, sums, hidden), dh, dc) for got, sums, hidden, dh, dc in found]


def _look_at(x: Tensor, sizes: Tensor, starts: Tensor) -> None:
    for name, tensor, dtype in (
        ("x", x, torch.float32),
        ("sizes", sizes, torch.int64),
        ("starts", starts, torch.int64),
    ):
        if tensor.dtype is not dtype or tensor.device.type != "cpu":
            raise ValueError(f"{name} must be {dtype} on the CPU, not {tensor.dtype} on {tensor.device}")
    if x.dim() != 2 or sizes.dim() != 1 or sizes.shape != starts.shape:
        raise ValueError(f"x must have 2 axes, sizes and starts 1: {x.shape}, {sizes.shape}, {starts.shape}")
    if not (sizes.is_contiguous() and starts.is_contiguous()):
        raise ValueError("sizes and starts must be contiguous")
    if not needed().unrolled_adds_up(sizes.data_ptr(), starts.data_ptr(), sizes.shape[0], x.shape[0]):
        raise ValueError(
            "sizes must be above zero and never grow, starts be the sums of those before, and all add up to the "
            f"elements: sizes {sizes.tolist()}, {len(x)} elements"
        )


def _in_one_type(weights: Sequence[Packed | Weights], half: bool) -> bool:
    """Whether the weights of a layer's one or two directions are multiplied in bfloat16: those of all, or of none."""
    types = {w.half if isinstance(w, Packed) else half for w in weights}
    if len(types) != 1 or len(weights) > 2:
        raise ValueError(f"a layer has 1 or 2 directions, in one type: {len(weights)} in {len(types)} are given")
    return types.pop()


def _state(state: Tensor, batch: int, features: int) -> Tensor:
    if state.shape != (batch, features) or state.dtype is not torch.float32 or not state.is_cpu:
        found = f"{tuple(state.shape)} in {state.dtype} on {state.device}"
        raise ValueError(f"a state must be {(batch, features)} in float32 on the CPU, not {found}")
    return state.contiguous()


def _given(kind: str, w: Weights) -> Weights:
    """The weights as the compiled code reads them: rows of neighbouring floats, vectors without gaps."""
    if not _fit(kind, w, w.ih.shape[-1]):
        raise ValueError(f"these are no weights of a {kind}: {[None if t is None else tuple(t.shape) for t in w]}")
    bias_ih, bias_hh, vectors = (None if t is None else t.contiguous() for t in (w.bias_ih, w.bias_hh, w.vectors))
    return Weights(rows(w.ih), rows(w.hh), bias_ih, bias_hh, vectors, None if w.hr is None else rows(w.hr))


def _sizes(kind: str, w: Weights | Packed) -> tuple[int, int]:
    """Hidden size and output size."""
    if isinstance(w, Packed):
        if w.kind != kind:
            raise ValueError(f"these weights are laid out for a {w.kind}, not for a {kind}")
        return w.hidden, w.output
    return w.hh.shape[0] // KINDS[kind].blocks, w.hh.shape[1]


def _where(layer: Layer, x: Tensor, sizes: Tensor, starts: Tensor, batch: int, place: int) -> None:
    """Where its elements are; the layer in the second place reads backwards."""
    layer.steps, layer.batch, layer.reverse = sizes.shape[0], batch, place
    layer.sizes, layer.starts = sizes.data_ptr(), starts.data_ptr()
    layer.x, layer.x_stride = x.data_ptr(), x.stride(0)


def _fill(layer: Layer, w: Weights, room: Tensor, hidden: int) -> None:
    """Weights that are to be laid out in `room`. They must outlive the call."""
    layer.input, layer.packed = w.ih.shape[1], room.data_ptr()
    layer.ih, layer.ih_stride, layer.hh, layer.hh_stride = (
        w.ih.data_ptr(),
        w.ih.stride(0),
        w.hh.data_ptr(),
        w.hh.stride(0),
    )
    layer.bias_ih, layer.bias_hh, layer.vectors = _pointer(w.bias_ih), _pointer(w.bias_hh), _pointer(w.vectors)
    layer.hidden, layer.output = hidden, w.hh.shape[1]
    if w.hr is not None:
        layer.hr, layer.hr_stride = w.hr.data_ptr(), w.hr.stride(0)


def _fill_packed(layer: Layer, w: Packed) -> None:
    """Weights that are laid out. That there is a bias is all that is asked of it then."""
    layer.packed, layer.vectors, layer.input = w.room.data_ptr(), _pointer(w.vectors), w.input
    layer.hidden, layer.output, layer.bias_ih = w.hidden, w.output, w.room.data_ptr() if w.bias else None


def _room(code: int, half: bool, input_size: int, hidden: int, output: int, *, backwards: bool) -> Tensor:
    """Room for packed weights, in bytes."""
    size = needed().unrolled_packed_size(code, half, input_size, hidden, output, backwards)
    return torch.empty(size, dtype=torch.uint8)


def _biases(kind: str, w: Weights, hidden: int) -> list[Tensor | None]:
    """What is added to the input's share of the gates, for each of `Kind.inputs`."""
    if w.bias_ih is None or w.bias_hh is None:
        return [w.bias_ih] * len(KINDS[kind].inputs)
    if kind == "gru":
        return [w.bias_ih[: 2 * hidden] + w.bias_hh[: 2 * hidden], w.bias_ih[2 * hidden :]]
    return [w.bias_ih + w.bias_hh]


def _with_biases(kind: str, got: Weights, sums: Tensor, hidden: int) -> Weights:
    """`sums` are those of the gates' blocks; of torch's GRU the third is the product's, the fourth the input's."""
    if got.bias_ih is None:
        return got
    if kind == "gru":
        by_input = torch.cat([sums[: 2 * hidden], sums[3 * hidden :]])
        return got._replace(bias_ih=by_input, bias_hh=sums[: 3 * hidden])
    return got._replace(bias_ih=sums, bias_hh=sums.clone())


def _pointer(x: Tensor | None) -> int | None:
    return None if x is None else x.data_ptr()


def _threads(work: int) -> int:
    """As many as torch may use, but one where there is little to do; work: multiplications."""
    return torch.get_num_threads() if work > SMALL else 1
