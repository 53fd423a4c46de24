"""How fast `unrolled.nn` runs a layer, against `torch.nn` on the same batch, packed and padded.

    python benchmarks/unroll.py [--quick] [--threads 1 2] [--clock wall|cpu] [--repeats 15] >> benchmarks/RESULTS.md

The candidates take turns inside one process; a figure is the median over the turns, of one layer with all its gradients
(train) or none (infer). The ratio is torch's time over ours: above 1 we are faster. `cpu` is the time of the process,
which is to be preferred for one thread on a machine that does other work; for several threads only wall time says
anything, and only on an idle machine.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

import unrolled.nn

KINDS = ("LSTM", "GRU", "RNN")
SIZES = ((64, 8), (64, 32), (64, 64), (128, 8), (128, 32), (256, 8), (256, 32), (256, 64), (512, 8), (512, 32))
QUICK = ((64, 32), (256, 32))
LENGTHS = ("lognormal", "near-equal", "equal", "one step")


class Case(NamedTuple):
    kind: str
    lengths: str
    hidden: int
    batch: int
    train: bool


def draw(lengths: str, batch: int) -> Tensor:
    """Lengths of a batch, longest first. lognormal: mean about 20, at most 80; near-equal: 18 to 22."""
    random = np.random.default_rng(1)
    if lengths == "lognormal":
        drawn = random.lognormal(np.log(20) - 0.18, 0.6, batch).round().clip(1, 80)
    elif lengths == "near-equal":
        drawn = random.integers(18, 23, batch)
    else:
        drawn = np.full(batch, 1 if lengths == "one step" else 20)
    return torch.from_numpy(drawn.astype(np.int64)).sort(descending=True).values


def candidates(case: Case) -> dict[str, Callable[[], None]]:
    theirs = getattr(nn, case.kind)(case.hidden, case.hidden)
    ours = getattr(unrolled.nn, case.kind)(case.hidden, case.hidden)
    ours.load_state_dict(theirs.state_dict())
    lengths = draw(case.lengths, case.batch)
    padded = torch.randn(int(lengths[0]), case.batch, case.hidden)
    packed = pack_padded_sequence(padded, lengths)
    if case.lengths in ("equal", "one step"):
        return {"padded": run(theirs, padded, case.train), "ours": run(ours, padded, case.train)}
    whole, _ = pad_packed_sequence(packed)
    return {
        "packed": run(theirs, packed, case.train),
        "padded": run(theirs, whole, case.train),
        "ours": run(ours, packed, case.train),
    }


def run(module: nn.Module, x: Tensor | PackedSequence, train: bool) -> Callable[[], None]:
    data = (x.data if isinstance(x, PackedSequence) else x).clone().requires_grad_(train)
    given = x._replace(data=data) if isinstance(x, PackedSequence) else data
    seed = torch.randn(*data.shape[:-1], module.hidden_size)

    def once() -> None:
        with torch.set_grad_enabled(train):
            outputs, _ = module(given)
            if train:
                module.zero_grad()
                data.grad = None
                (outputs.data if isinstance(outputs, PackedSequence) else outputs).backward(seed)

    return once


def measure(functions: dict[str, Callable[[], None]], repeats: int, clock: Callable[[], float]) -> dict[str, float]:
    """Milliseconds, medians; the candidates take turns."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for turn in range(repeats + 3):
        for name, function in functions.items():
            before = clock()
            function()
            if turn >= 3:
                times[name].append(1e3 * (clock() - before))
    return {name: statistics.median(taken) for name, taken in times.items()}


def cases(quick: bool) -> Iterator[Case]:
    for kind in KINDS:
        for lengths in LENGTHS:
            for hidden, batch in QUICK if quick else SIZES:
                for train in (True, False):
                    yield Case(kind, lengths, hidden, batch, train)


def machine() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    name = f"{models[0]}, {len(models)} cores seen" if models else platform.processor() or platform.machine()
    torchs = f"torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}"
    return f"{name}; Python {platform.python_version()}, {torchs}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two sizes only")
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--repeats", type=int, default=15)
    options = parser.parse_args()
    clock = time.perf_counter if options.clock == "wall" else time.process_time
    print(f"\n{machine()}; {options.clock} time, medians of {options.repeats}\n")
    head = ["kind", "lengths", "hidden", "batch", "", "threads"]
    head += ["torch packed ms", "torch padded ms", "ours ms", "× packed", "× padded"]
    print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for threads in options.threads:
        torch.set_num_threads(threads)
        for case in cases(options.quick):
            ms = measure(candidates(case), options.repeats, clock)
            cells = [f"{ms[name]:.2f}" if name in ms else "" for name in ("packed", "padded", "ours")]
            cells += [f"{ms[name] / ms['ours']:.2f}" if name in ms else "" for name in ("packed", "padded")]
            what = [case.kind, case.lengths, case.hidden, case.batch, "train" if case.train else "infer", threads]
            print("| " + " | ".join(map(str, [*what, *cells])) + " |", flush=True)


if __name__ == "__main__":
    main()
