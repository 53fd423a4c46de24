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

from unrolled.kernels.library import Layer, Product, load

_TYPES = (torch.float32, torch.bfloat16)
"""Of packed weights."""

SMALL = 1 << 21
"""Multiplications of a layer below which a second thread costs more than it brings."""


MOVED = 16
"""What laying out one weight costs, in multiplications."""


class Kind(NamedTuple):
    """A cell as the kernels see it.

    code: its place in `csrc/kernels.h`; blocks: of the weights' rows; width: floats an element keeps, in hidden sizes;
    memory: whether it has a cell state; inputs: block of the weights -> block of what an element keeps.
    """

    code: int
    blocks: int
    width: int
    memory: bool
    inputs: tuple[tuple[int, int, int], ...]
    """(first block of the weights, how many, first block of the gates)."""


KINDS = {
    "lstm": Kind(0, 4, 4, True, ((0, 4, 0),)),
    "lstm_peephole": Kind(1, 4, 4, True, ((0, 4, 0),)),
    "lstm_coupled": Kind(2, 3, 3, True, ((0, 3, 0),)),
    "gru": Kind(3, 3, 4, False, ((0, 2, 0), (2, 1, 3))),
    "rnn_tanh": Kind(4, 1, 1, False, ((0, 1, 0),)),
    "rnn_relu": Kind(5, 1, 1, False, ((0, 1, 0),)),
}
"""Name -> what the kernels need to know. The GRU keeps the product of n apart from n's share of the input."""


class Weights(NamedTuple):
    """Of one direction.

    ih: (blocks * hidden, input); hh: (blocks * hidden, hidden); biases: (blocks * hidden,) or None;
    vectors: (3, hidden) peepholes of i, f and o, where the cell has them.
    """

    ih: Tensor
    hh: Tensor
    bias_ih: Tensor | None = None
    bias_hh: Tensor | None = None
    vectors: Tensor | None = None


@dataclass(frozen=True)
class Packed:
    """The weights of one direction, laid out for the pass forwards.

    inputs: for each block of `Kind.inputs` the panels; hidden: the recurrent panels; bias: what is added to the input's
    share; vectors: what the cell adds itself; half: whether the panels are bfloat16; input_size: features
    of an element.
    """

    inputs: tuple[Tensor, ...]
    hidden: Tensor
    bias: Tensor | None
    vectors: Tensor | None
    half: bool
    input_size: int


class Kept(NamedTuple):
    """What the gradients of one direction need. gates: (elements, width * hidden); cells: (elements, hidden)."""

    gates: Tensor
    cells: Tensor | None


class Gradients(NamedTuple):
    """Of one direction: of its weights and of its initial state."""

    weights: Weights
    h0: Tensor
    c0: Tensor | None


def supports(kind: str, x: Tensor, w: Weights) -> bool:
    """Whether the kernels can run these: they are there, all is float32 on the CPU, and the shapes fit each other."""
    plain = all(t is None or (t.dtype is torch.float32 and t.is_cpu) for t in (x, *w))
    return plain and kind in KINDS and x.dim() == 2 and _fit(kind, w, x.shape[1]) and load() is not None


def _fit(kind: str, w: Weights, input_size: int) -> bool:
    hidden = w.hh.shape[-1]
    rows = KINDS[kind].blocks * hidden
    biases = all(b is None or b.shape == (rows,) for b in (w.bias_ih, w.bias_hh))
    vectors = w.vectors is None or w.vectors.shape == (3, hidden)
    return w.ih.shape == (rows, input_size) and w.hh.shape == (rows, hidden) and biases and vectors


def pack(kind: str, w: Weights, half: bool = False) -> Packed:
    """Lay the weights out for the pass forwards, rounded to bfloat16 where `half` says so.

    Raises `ValueError` where their shapes do not fit each other.
    """
    if not _fit(kind, w, w.ih.shape[-1]):
        raise ValueError(f"these are no weights of a {kind}: {[None if t is None else tuple(t.shape) for t in w]}")
    library, k, hidden = _library(), KINDS[kind], w.hh.shape[1]
    threads = _threads(w.ih.numel() * MOVED)
    inputs = []
    for first, count, _ in k.inputs:
        block = w.ih[first * hidden : (first + count) * hidden]
        inputs.append(_panels(block, half, transposed=True, threads=threads))
    recurrent = _rows(w.hh)
    panels = torch.empty(library.unrolled_forward_size(k.code, half, hidden), dtype=_TYPES[half])
    library.unrolled_pack_forward(k.code, half, recurrent.data_ptr(), recurrent.stride(0), hidden, panels.data_ptr())
    bias, vectors = w.bias_ih, w.vectors
    if kind == "gru":
        vectors = w.hh.new_zeros(hidden) if w.bias_hh is None else w.bias_hh[2 * hidden :].contiguous()
        if bias is not None and w.bias_hh is not None:
            bias = torch.cat([bias[: 2 * hidden] + w.bias_hh[: 2 * hidden], bias[2 * hidden :]])
    elif bias is not None and w.bias_hh is not None:
        bias = bias + w.bias_hh
    return Packed(
        tuple(inputs), panels, None if bias is None else bias.contiguous(), _whole(vectors), half, w.ih.shape[1]
    )


def forward(
    kind: str,
    x: Tensor,
    sizes: Tensor,
    starts: Tensor,
    packed: Sequence[Packed],
    states: Sequence[tuple[Tensor, ...]],
    keep: bool,
) -> tuple[Tensor, list[tuple[Tensor, ...]], list[Kept]]:
    """Run a layer over a packed batch.

    Args:
        kind: of `KINDS`.
        x: (elements, input).
        sizes, starts: (time,) rows alive at each time, and the first element of each.
        packed: one direction, or both: the second reads backwards.
        states: of each direction (h0,) or (h0, c0), each (batch, hidden), in packed order.
        keep: whether gradients will be asked for.

    Returns:
        The hidden states (elements, directions * hidden); the last state of each direction; what `backward` needs.
    """
    library, k = _library(), KINDS[kind]
    _look_at(x, sizes, starts)
    if any(p.input_size != x.shape[1] for p in packed):
        raise ValueError(f"the weights read {packed[0].input_size} features, x has {x.shape[1]}")
    x, hidden = _rows(x), states[0][0].shape[1]
    outputs = x.new_empty(len(x), len(packed) * hidden)
    threads = _threads(len(x) * hidden * hidden * k.blocks)
    layers, kept, alive = (Layer * len(packed))(), [], []
    final: list[tuple[Tensor, ...]] = []
    for place, (p, state) in enumerate(zip(packed, states, strict=True)):
        gates = x.new_empty(len(x), k.width * hidden)
        for panels, (first, count, to) in zip(p.inputs, k.inputs, strict=True):
            _multiply(p.half, x, panels, p.bias, first * hidden, gates, to * hidden, count * hidden, threads)
        h0 = _state(state[0], sizes, hidden)
        c = _state(state[1], sizes, hidden).clone() if k.memory else None
        cells = x.new_empty(len(x), hidden) if keep and k.memory else None
        layer = layers[place]
        layer.steps, layer.batch, layer.hidden, layer.reverse = len(sizes), len(h0), hidden, place
        layer.sizes, layer.starts, layer.weights = sizes.data_ptr(), starts.data_ptr(), p.hidden.data_ptr()
        layer.vectors, layer.gates, layer.gates_stride = _pointer(p.vectors), gates.data_ptr(), gates.stride(0)
        layer.cells, layer.h0, layer.c, layer.keep = _pointer(cells), h0.data_ptr(), _pointer(c), keep
        layer.h, layer.h_stride = outputs.data_ptr() + 4 * place * hidden, outputs.stride(0)
        h = torch.empty_like(h0)
        final.append((h,) if c is None else (h, c))
        kept.append(Kept(gates, cells))
        alive.append(h0)
    library.unrolled_forward(k.code, packed[0].half, layers, len(packed), threads)
    for layer, state in zip(layers, final, strict=True):
        library.unrolled_last(ctypes.byref(layer), state[0].data_ptr())
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
    library, k = _library(), KINDS[kind]
    x, gradient, hidden = _rows(x), _rows(gradient), states[0][0].shape[1]
    threads = _threads(len(x) * hidden * hidden * k.blocks)
    layers, alive = (Layer * len(weights))(), []
    for place, (w, state, held, last) in enumerate(zip(weights, states, kept, gradients, strict=True)):
        packed, vectors = _panels(w.hh, half, transposed=False, threads=threads), _backward_vectors(kind, w)
        h0 = _state(state[0], sizes, hidden)
        c0 = _state(state[1], sizes, hidden) if k.memory else None
        dgates, dh = torch.empty_like(held.gates), _state(last[0], sizes, hidden).clone()
        dc = _state(last[1], sizes, hidden).clone() if k.memory else None
        layer = layers[place]
        layer.steps, layer.batch, layer.hidden, layer.reverse = len(sizes), len(h0), hidden, place
        layer.sizes, layer.starts, layer.weights = sizes.data_ptr(), starts.data_ptr(), packed.data_ptr()
        layer.gates, layer.gates_stride, layer.cells = held.gates.data_ptr(), dgates.stride(0), _pointer(held.cells)
        layer.h0, layer.c0, layer.vectors = h0.data_ptr(), _pointer(c0), _pointer(vectors)
        layer.h, layer.h_stride = outputs.data_ptr() + 4 * place * hidden, outputs.stride(0)
        layer.dh, layer.dh_stride = gradient.data_ptr() + 4 * place * hidden, gradient.stride(0)
        layer.dgates, layer.dh_carry, layer.dc_carry = dgates.data_ptr(), dh.data_ptr(), _pointer(dc)
        alive.append((packed, vectors, h0, c0, dgates, dh, dc))
    library.unrolled_backward(k.code, half, layers, len(weights), threads)
    dx = torch.empty_like(x) if need_x else None
    found = []
    for place, (w, held, (_, _, _, c0, dgates, dh, dc)) in enumerate(zip(weights, kept, alive, strict=True)):
        if dx is not None:
            _input_gradient(k, w, dgates, dx, add=place > 0, half=half, threads=threads)
        layer = layers[place]
        given = _weight_gradients(kind, x, w, dgates, layer, half, threads)
        if kind == "lstm_peephole":
            before = _cells_before(held.cells, c0, sizes, starts, reverse=place == 1)
            given = given._replace(vectors=_peephole_gradient(dgates, held.cells, before))
        found.append(Gradients(given, dh, dc))
    return dx, found


def _library() -> ctypes.CDLL:
    library = load()
    if library is None:
        raise RuntimeError("there are no compiled kernels: ask `supports` first")
    return library


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
    alive, first = sizes.numpy(), starts.numpy()
    falls = len(alive) > 0 and alive[-1] > 0 and bool((alive[1:] <= alive[:-1]).all())
    if not (falls and first[0] == 0 and (first[1:] - first[:-1] == alive[:-1]).all()):
        raise ValueError("sizes must be above zero and never grow, and starts be the sums of those before")
    if first[-1] + alive[-1] != len(x):
        raise ValueError(f"the sizes add up to {first[-1] + alive[-1]} elements, there are {len(x)}")


def _state(state: Tensor, sizes: Tensor, hidden: int) -> Tensor:
    wanted = (int(sizes[0]), hidden)
    if state.shape != wanted or state.dtype is not torch.float32 or not state.is_cpu:
        found = f"{tuple(state.shape)} in {state.dtype} on {state.device}"
        raise ValueError(f"a state must be {wanted} in float32 on the CPU, not {found}")
    return state.contiguous()


def _rows(x: Tensor) -> Tensor:
    """With rows of neighbouring floats."""
    return x if x.stride(1) == 1 and x.stride(0) >= x.shape[1] else x.contiguous()


def _whole(x: Tensor | None) -> Tensor | None:
    return None if x is None else x.contiguous()


def _pointer(x: Tensor | None) -> int | None:
    return None if x is None else x.data_ptr()


def _multiply(
    half: bool,
    a: Tensor,
    panels: Tensor,
    bias: Tensor | None,
    shift: int,
    c: Tensor,
    to: int,
    columns: int,
    threads: int,
    add: int = 0,
) -> None:
    """c[:, to : to + columns] = a b + bias[shift : …]."""
    started = None if bias is None else bias.data_ptr() + 4 * shift
    product = Product(
        a.data_ptr(), a.stride(0), len(a), a.shape[1], columns, panels.data_ptr(), started,
        c.data_ptr() + 4 * to, c.stride(0), add,
    )  # fmt: skip
    _library().unrolled_multiply(half, ctypes.byref(product), threads)


def _panels(matrix: Tensor, half: bool, *, transposed: bool, threads: int) -> Tensor:
    """A matrix (depth, columns), or where `transposed` (columns, depth), in panels."""
    library, matrix = _library(), _rows(matrix)
    depth, columns = reversed(matrix.shape) if transposed else matrix.shape
    panels = torch.empty(library.unrolled_packed_size(half, depth, columns), dtype=_TYPES[half])
    library.unrolled_pack(
        half, matrix.data_ptr(), matrix.stride(0), depth, columns, transposed, panels.data_ptr(), threads
    )
    return panels


def _threads(work: int) -> int:
    """As many as torch may use, but one where there is little to do; work: multiplications."""
    return torch.get_num_threads() if work > SMALL else 1


def _backward_vectors(kind: str, w: Weights) -> Tensor | None:
    return _whole(w.vectors) if kind == "lstm_peephole" else None


def _input_gradient(k: Kind, w: Weights, dgates: Tensor, dx: Tensor, *, add: bool, half: bool, threads: int) -> None:
    hidden = w.hh.shape[1]
    for place, (first, count, at) in enumerate(k.inputs):
        block = w.ih[first * hidden : (first + count) * hidden]
        panels = _panels(block, half, transposed=False, threads=threads)
        part = dgates[:, at * hidden : (at + count) * hidden]
        _multiply(half, part, panels, None, 0, dx, 0, dx.shape[1], threads, add or place > 0)


def _weight_gradients(
    kind: str, x: Tensor, w: Weights, dgates: Tensor, layer: Layer, half: bool, threads: int
) -> Weights:
    library, k, hidden = _library(), KINDS[kind], w.hh.shape[1]
    ih, hh = torch.empty_like(w.ih, memory_format=torch.contiguous_format), w.hh.new_empty(w.hh.shape)
    for first, count, at in k.inputs:
        library.unrolled_outer(
            half, dgates.data_ptr() + 4 * at * hidden, dgates.stride(0), count * hidden, len(x), x.data_ptr(),
            x.stride(0), x.shape[1], ih.data_ptr() + 4 * first * hidden * x.shape[1], x.shape[1], 0, threads,
        )  # fmt: skip
    library.unrolled_recurrent_outer(half, ctypes.byref(layer), k.blocks * hidden, hh.data_ptr(), hidden, threads)
    if w.bias_ih is None:
        return Weights(ih, hh)
    sums = w.hh.new_empty(k.width * hidden)
    library.unrolled_sums(dgates.data_ptr(), dgates.stride(0), len(x), len(sums), sums.data_ptr(), threads)
    recurrent = sums[: k.blocks * hidden]
    parts = [sums[at * hidden : (at + count) * hidden] for _, count, at in k.inputs]
    return Weights(ih, hh, torch.cat(parts), recurrent if len(parts) > 1 else recurrent.clone())


def _cells_before(cells: Tensor | None, c0: Tensor | None, sizes: Tensor, starts: Tensor, *, reverse: bool) -> Tensor:
    """The cell state before each element, (elements, hidden)."""
    assert cells is not None
    assert c0 is not None
    parts, batch = [], sizes.tolist()
    first = starts.tolist()
    for t, rows in enumerate(batch):
        other = t + 1 if reverse else t - 1
        linked = batch[other] if 0 <= other < len(batch) else 0
        linked = min(linked, rows)
        if linked:
            parts.append(cells[first[other] : first[other] + linked])
        if linked < rows:
            parts.append(c0[linked:rows])
    return torch.cat(parts)


def _peephole_gradient(dgates: Tensor, cells: Tensor | None, before: Tensor) -> Tensor:
    assert cells is not None
    di, df, _, do = dgates.chunk(4, dim=1)
    return torch.stack([(di * before).sum(0), (df * before).sum(0), (do * cells).sum(0)])
