"""A pass whose gradient vanishes: many elements, and a loss of the last state alone, as when a sequence gets one label.

    OMP_NUM_THREADS=1 python benchmarks/vanishing.py [--rows 64] [--hidden 128] [--repeats 5]

On its way to zero such a gradient is made of numbers below 1e-38, and a processor takes some hundred cycles for each
instruction that meets one. Forwards and gradients of fresh weights, the processor's time; torch as it is, and told to
take such numbers for zero (`set_flush_denormal`), which ours does by itself.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from speed import machine, row, table
from torch import Tensor, nn

import unrolled.nn as ours

LENGTHS = (50, 200, 800)


def seconds(module: Callable[..., tuple[Tensor, object]], x: Tensor, repeats: int) -> float:
    taken = []
    for _ in range(repeats + 1):
        begun = time.process_time()
        out, _ = module(x)
        out[:, -1].sum().backward()
        taken.append(time.process_time() - begun)
    return statistics.median(taken[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    print(f"\n{machine()}; {given.rows} rows, {given.hidden} units, one number an element.\n")
    table(["layer", "elements", "torch ms", "torch, flushing ms", "ours ms", "×", "× flushing"])
    for name in ("LSTM", "GRU"):
        for length in LENGTHS:
            torch.manual_seed(1)
            x = torch.randn(given.rows, length, 1)
            theirs = getattr(nn, name)(1, given.hidden, batch_first=True)
            same = getattr(ours, name)(1, given.hidden, batch_first=True)
            same.load_state_dict(theirs.state_dict())
            found = []
            for module, flushes in ((theirs, False), (theirs, True), (same, False)):
                torch.set_flush_denormal(flushes)
                found.append(seconds(module, x, given.repeats))
            torch.set_flush_denormal(False)
            plain, flushing, here = found
            times = (f"{1e3 * value:.0f}" for value in found)
            row([name, length, *times, f"{plain / here:.1f}", f"{flushing / here:.1f}"])


if __name__ == "__main__":
    main()
