"""How fast element-wise linear recurrences run, and the cells made of them: the whole grid in one command.

    python benchmarks/linear.py [--threads 1 2] [--clock cpu|wall] [--repeats 15] [--only recurrence]

First the recurrence alone, h_t = a_t * h_{t-1} + b_t with the gradients of a, b and h_0, against a loop over time in
plain torch and a parallel scan in plain torch. Then a whole layer, with the gradients of its input and its weights:
minimal GRU and LSTM against our GRU and torch's. As in `speed.py` the candidates of a row take turns inside one
process, figures are medians, and a ratio is the rival's time over ours: above 1 we are faster.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from speed import Clock, Run, draw, machine, measure, once, row, table
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

from unrolled.cells.base import Cell
from unrolled.cells.gru import GRU
from unrolled.cells.mingru import MinGRU
from unrolled.cells.minlstm import MinLSTM
from unrolled.kernels import library
from unrolled.kernels.linear import Terms
from unrolled.unroll import choose, elementwise

HIDDEN = 256


def loop(a: Tensor, b: Tensor, h: Tensor) -> Tensor:
    """a, b: (time, batch, hidden), h: (batch, hidden)."""
    outputs = []
    for at, bt in zip(a.unbind(0), b.unbind(0), strict=True):
        h = torch.addcmul(bt, at, h)
        outputs.append(h)
    return torch.stack(outputs)


def parallel(a: Tensor, b: Tensor, h: Tensor) -> Tensor:
    """Blelloch 1990: neighbours made one, half as many done in the same way, and those between them filled in."""
    return _parallel(a, torch.cat([torch.addcmul(b[:1], a[:1], h), b[1:]]))


def _parallel(a: Tensor, b: Tensor) -> Tensor:
    """As many times as a power of two."""
    if len(b) == 1:
        return b
    odd = _parallel(a[1::2] * a[::2], torch.addcmul(b[1::2], a[1::2], b[::2]))
    even = torch.cat([b[:1], torch.addcmul(b[2::2], a[2::2], odd[:-1])])
    return torch.stack([even, odd], dim=1).flatten(0, 1)


def kernel(a: Tensor, b: Tensor, h: Tensor) -> Tensor:
    steps, batch, hidden = a.shape
    terms = Terms(a.view(-1, hidden), b.view(-1, hidden), h)
    return elementwise.run(torch.full((steps,), batch), [terms])[0].view(a.shape)


def recurrences(repeats: int, clock: Clock, threads: int) -> None:
    table(
        ["T", "B", "threads", "loop ms", "scan ms", "kernel ms", "× loop", "× scan", "kernel, no gradients ms", "GB/s"]
    )
    for batch in (1, 32):
        for steps in (16, 64, 256, 1024, 4096):
            shape = (steps, batch, HIDDEN)
            given = [torch.rand(shape), torch.randn(shape), torch.randn(shape[1:])]
            upstream = torch.randn(shape)

            def trained(way: Callable[..., Tensor], given: list[Tensor] = given, upstream: Tensor = upstream) -> Run:
                leaves = [t.clone().requires_grad_() for t in given]
                return lambda: torch.autograd.grad(way(*leaves), leaves, upstream)

            functions = {way.__name__: trained(way) for way in (loop, parallel, kernel)}
            functions["plain"] = lambda given=given: kernel(*given)
            taken = measure(functions, repeats, clock)
            ratios = [f"{taken[rival] / taken['kernel']:.1f}" for rival in ("loop", "parallel")]
            ms = [f"{1e3 * taken[name]:.3f}" for name in ("loop", "parallel", "kernel")]
            # Read a and b, written h: what must at least pass through memory.
            rate = 3 * 4 * given[0].numel() / taken["plain"] / 1e9
            row([steps, batch, threads, *ms, *ratios, f"{1e3 * taken['plain']:.3f}", f"{rate:.1f}"])


class Alone(nn.Module):
    """One direction of a cell, as what `speed.once` calls."""

    def __init__(self, cell: Cell) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, x: PackedSequence) -> tuple[PackedSequence, object]:
        return choose.unroll(self.cell, x)


def layers(repeats: int, clock: Clock, threads: int) -> None:
    cells = {kind.__name__: Alone(kind(HIDDEN, HIDDEN)) for kind in (MinGRU, MinLSTM, GRU)}
    theirs = nn.GRU(HIDDEN, HIDDEN)
    head = ["lengths", "B", "", "threads", "torch GRU ms", "our GRU ms", "minGRU ms", "minLSTM ms"]
    table([*head, "minGRU × torch GRU", "minGRU × our GRU", "minLSTM × our GRU"])
    cases: list[tuple[object, int]] = [(n, 1) for n in (16, 64, 256, 1024)]
    cases += [(16, 32), (64, 32), (256, 32), ("variable", 32)]
    for lengths, batch in cases:
        each = draw("variable", batch) if lengths == "variable" else torch.full((batch,), lengths)
        padded = torch.randn(int(each[0]), batch, HIDDEN)
        packed = pack_padded_sequence(padded, each)
        for train in (True, False):
            # Torch's own is quicker on a padded batch, where there is no padding.
            x = packed if lengths == "variable" else padded
            functions: dict[str, Run] = {"torch": lambda x=x, train=train: once(theirs, x, train)}
            for name, cell in cells.items():
                functions[name] = lambda cell=cell, train=train, packed=packed: once(cell, packed, train)
            taken = measure(functions, repeats, clock)
            ms = [f"{1e3 * taken[name]:.2f}" for name in ("torch", "GRU", "MinGRU", "MinLSTM")]
            pairs = (("torch", "MinGRU"), ("GRU", "MinGRU"), ("GRU", "MinLSTM"))
            ratios = [f"{taken[rival] / taken[ours]:.1f}" for rival, ours in pairs]
            row([lengths, batch, "train" if train else "infer", threads, *ms, *ratios])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--only", choices=("recurrence", "layers"))
    options = parser.parse_args()
    if library.load() is None:
        raise SystemExit(f"there is nothing to measure: {library.why()}")
    clock = time.perf_counter if options.clock == "wall" else time.process_time
    print(f"\n{machine()}; {options.clock} time, medians of {options.repeats}, hidden size {HIDDEN}.")
    for threads in options.threads:
        torch.set_num_threads(threads)
        if options.only != "layers":
            recurrences(options.repeats, clock, threads)
        if options.only != "recurrence":
            layers(options.repeats, clock, threads)


if __name__ == "__main__":
    main()
