"""Whether memory stays as it is over very many calls of the kernels: prints a table, ends with 1 where it grows.

    python benchmarks/leaks.py [--calls 1000000] [--threads 1] [NAME …]

The steps of a stream are so many; other calls, which take longer, a tenth of that; threads that start, call and end,
and cells that are made and dropped, a hundredth. Each is called for a while before it is counted. Three things are
looked at: the memory of the process (resident), what malloc has given out, and Python's blocks. One small block of
malloc's is 32 bytes, so that a leak of one in a call shows where growth is held to 8 bytes a call.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch.nn.utils.rnn import PackedSequence, pack_sequence

from unrolled.cells.base import Cell
from unrolled.cells.gru import GRU
from unrolled.cells.lstm import LSTM
from unrolled.cells.lstm_peephole import LSTMPeephole
from unrolled.kernels import library, recurrence
from unrolled.kernels.recurrence import Weights
from unrolled.kernels.streaming import Stream
from unrolled.unroll import choose, fused

Call = Callable[[int], None]


class Usage(NamedTuple):
    """Bytes that the process holds, bytes that malloc has given out (0 where it cannot say), blocks of Python's."""

    resident: float
    given: float
    blocks: float


PAGE = 4096
PER_CALL, SLACK = Usage(32, 8, 0.25), Usage(2**22, 2**16, 500)
"""What is taken for noise: so much a call, and so much in all. Resident memory also breaks into pieces."""
LENGTHS = ([9, 4, 4, 2, 1], [5, 5, 5, 5], [8, 8, 1], [17], [2] * 9, [6, 5, 4, 3, 2, 1])


class _Mallinfo(ctypes.Structure):
    names = ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")
    _fields_ = [(name, ctypes.c_size_t) for name in names]


def usage() -> Usage:
    """How much there is now."""
    gc.collect()
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * PAGE
    try:
        mallinfo = ctypes.CDLL(None).mallinfo2
    except AttributeError:
        return Usage(resident, 0, sys.getallocatedblocks())
    mallinfo.restype = _Mallinfo
    found = mallinfo()
    return Usage(resident, found.uordblks + found.hblkhd, sys.getallocatedblocks())


# ------------------------------------------------------------------ what is called


def streams() -> Call:
    """A step of a stream, of two cells in both precisions by turns."""
    made = []
    for kind, cell in (("lstm", LSTM(8, 24)), ("gru", GRU(8, 24))):
        weights = Weights(cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh)
        with torch.no_grad():
            made += [Stream(kind, recurrence.pack(kind, weights, half)) for half in (False, True)]
    x = torch.randn(1, 8)

    def call(k: int) -> None:
        made[k % 4](x)

    return call


def batches() -> list[PackedSequence]:
    return [pack_sequence([torch.randn(length, 8) for length in lengths]) for lengths in LENGTHS]


def cells() -> list[tuple[Cell, Cell]]:
    return [(kind(8, 24), kind(8, 24)) for kind in (LSTM, GRU, LSTMPeephole)]


def training() -> Call:
    """Forwards and back through both directions, on ragged batches."""
    pairs, given = cells(), batches()

    def call(k: int) -> None:
        ahead, back = pairs[k % len(pairs)]
        with fused.precision(("float32", "bfloat16")[k % 2]):
            outputs, _ = choose.unroll_both(ahead, back, given[k % len(given)])
            outputs.data.sum().backward()
        ahead.zero_grad()
        back.zero_grad()

    return call


def inference() -> Call:
    """Predictions with weights that stay as they are."""
    pairs, given = cells(), batches()

    @torch.no_grad()
    def call(k: int) -> None:
        choose.unroll_both(*pairs[k % len(pairs)], given[k % len(given)])

    return call


def changing() -> Call:
    """Predictions with weights that change before each, so that they are laid out anew."""
    pairs, given = cells(), batches()

    @torch.no_grad()
    def call(k: int) -> None:
        ahead, back = pairs[k % len(pairs)]
        ahead.weight_hh.mul_(0.999)
        with fused.precision(("float32", "bfloat16")[k % 2]):
            choose.unroll_both(ahead, back, given[k % len(given)])

    return call


def dropped() -> Call:
    """A cell that is made, predicts, and is dropped: what was laid out goes with it."""
    given = batches()

    @torch.no_grad()
    def call(k: int) -> None:
        choose.unroll(GRU(8, 24), given[k % len(given)])

    return call


def threads() -> Call:
    """A thread that starts, trains a step and ends: its room to work in goes with it."""
    cell, x = LSTM(8, 64), pack_sequence([torch.randn(length, 8) for length in (64, 64, 32, 32)])

    def work() -> None:
        with fused.precision("bfloat16"):
            outputs, _ = choose.unroll(cell, x)
            torch.autograd.grad(outputs.data.sum(), list(cell.parameters()))

    def call(k: int) -> None:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()

    return call


KINDS: dict[str, tuple[Callable[[], Call], int]] = {
    "streams": (streams, 1),
    "training": (training, 10),
    "inference": (inference, 10),
    "changing": (changing, 10),
    "dropped": (dropped, 100),
    "threads": (threads, 100),
}
"""Name -> what makes the call, and by how much its calls are fewer."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(KINDS)}")
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    if library.load() is None:
        sys.exit(f"there are no kernels to look at: {library.why()}")
    torch.set_num_threads(given.threads)
    print(f"kernels {library.why()}, {given.threads} thread(s)\n")
    print("| calls of |  | resident, MiB | grown, KiB | malloc grown, KiB | Python's blocks grown |  |")
    print("|---|---|---|---|---|---|---|", flush=True)
    grown = False
    for name in given.names or KINDS:
        make, fewer = KINDS[name]
        calls = max(given.calls // fewer, 50)
        after, growth = counted(make(), calls)
        flat = is_flat(growth, calls)
        grown = grown or not flat
        figures = f"{after.resident / 2**20:.1f} | {growth.resident / 1024:.0f} | {growth.given / 1024:.1f}"
        print(f"| {name} | {calls:,} | {figures} | {growth.blocks:.0f} | {'flat' if flat else 'GROWS'} |", flush=True)
    sys.exit(grown)


def counted(call: Call, calls: int) -> tuple[Usage, Usage]:
    """What there is after so many calls, and how much more that is than after some."""
    for k in range(max(calls // 5, 200)):
        call(k)
    before = usage()
    for k in range(calls):
        call(k)
    after = usage()
    return after, Usage(*(b - a for a, b in zip(before, after, strict=True)))


def is_flat(growth: Usage, calls: int) -> bool:
    """Whether so much more is noise."""
    return all(more <= each * calls + slack for more, each, slack in zip(growth, PER_CALL, SLACK, strict=True))


if __name__ == "__main__":
    main()
