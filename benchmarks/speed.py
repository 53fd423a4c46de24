"""How fast the recurrences run, against torch, onnxruntime and jax where they are installed: the grid in one command.

    python benchmarks/speed.py [--threads 1 2] [--clock cpu|wall] [--repeats 15] [--only LSTM …] >> RESULTS.md

The candidates of a row take turns inside one process. A turn is two runs, of which the second counts, so that each
finds the caches as its own work leaves them, as in a training; a figure is the median over the turns. A ratio is the
rival's time over ours: above 1 we are faster. `train` is one layer with all its gradients, `infer` one without. The
peak is measured first, on registers alone; a share of it counts true elements only, no padding. `cpu` is the time of
the process, to be preferred for one thread on a machine that does other work; for several threads only wall time says
anything, and only on an idle machine. UNROLLED_KERNELS=none measures what remains without a compiler.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from rivals import jax_training, onnx_steps
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

import unrolled.nn
from unrolled.kernels import library, recurrence
from unrolled.kernels.recurrence import Weights
from unrolled.kernels.streaming import Stream
from unrolled.unroll import fused

Run = Callable[[], object]
Clock = Callable[[], float]


class Case(NamedTuple):
    """One row. lengths: `variable`: lognormal, mean about 20, at most 80; `padded`: 50 each."""

    kind: str
    lengths: str
    hidden: int
    batch: int
    both: bool = False
    train: bool = True


def cases() -> Iterator[Case]:
    for hidden, batch in ((64, 8), (64, 32), (64, 64), (128, 8), (128, 32), (256, 8), (256, 32), (512, 32)):
        yield Case("LSTM", "variable", hidden, batch)
    for hidden in (128, 256):
        yield Case("LSTM", "variable", hidden, 32, both=True)
        yield Case("GRU", "variable", hidden, 32)
        yield Case("RNN", "variable", hidden, 32)
    for batch in (8, 32):
        yield Case("GRU", "padded", 256, batch)
        yield Case("RNN", "padded", 256, batch)
        for hidden in (128, 256, 512):
            yield Case("LSTM", "padded", hidden, batch)
    for hidden, batch in ((128, 1), (128, 32), (256, 32)):
        yield Case("LSTM", "variable", hidden, batch, train=False)
        yield Case("GRU", "variable", hidden, batch, train=False)


WARM, MOST, ENOUGH = 3, 200, 4.0
"""Turns that do not count, turns at most, and seconds after which there are enough."""


def draw(lengths: str, batch: int) -> Tensor:
    """Lengths of a batch, longest first."""
    if lengths == "padded":
        return torch.full((batch,), 50)
    random = np.random.default_rng(1)
    drawn = random.lognormal(np.log(20) - 0.18, 0.6, batch).round().clip(1, 80)
    return torch.from_numpy(drawn.astype(np.int64)).sort(descending=True).values


def candidates(case: Case) -> tuple[dict[str, Run], float]:
    """What takes turns, and the operations of one run."""
    theirs = getattr(nn, case.kind)(case.hidden, case.hidden, bidirectional=case.both)
    ours = getattr(unrolled.nn, case.kind)(case.hidden, case.hidden, bidirectional=case.both)
    ours.load_state_dict(theirs.state_dict())
    lengths = draw(case.lengths, case.batch)
    padded = torch.randn(int(lengths[0]), case.batch, case.hidden)
    x = padded if case.lengths == "padded" else pack_padded_sequence(padded, lengths)
    packed = pack_padded_sequence(padded, lengths)  # of equal lengths our own kernels read the same numbers this way
    blocks = {"LSTM": 4, "GRU": 3, "RNN": 1}[case.kind]
    work = 2 * int(lengths.sum()) * 2 * case.hidden**2 * blocks * (1 + case.both) * (3 if case.train else 1)

    def autocast() -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            once(theirs, x, case.train)

    def half() -> None:
        with fused.precision("bfloat16"):
            once(ours, packed, case.train)

    return {
        "torch": lambda: once(theirs, x, case.train),
        "autocast": autocast,
        "twin": lambda: once(ours, x, case.train),
        "kernels": lambda: once(ours, packed, case.train),
        "bf16": half,
    }, work


def once(module: nn.Module, x: Tensor | PackedSequence, train: bool) -> None:
    data = (x.data if isinstance(x, PackedSequence) else x).clone().requires_grad_(train)
    with torch.set_grad_enabled(train):
        outputs, _ = module(x._replace(data=data) if isinstance(x, PackedSequence) else data)
        if train:
            module.zero_grad()
            came = outputs.data if isinstance(outputs, PackedSequence) else outputs
            came.backward(torch.ones((), dtype=came.dtype).expand_as(came).contiguous())


def measure(functions: dict[str, Run], repeats: int, clock: Clock) -> dict[str, float]:
    """Seconds, medians; the candidates take turns: `repeats` of them, and more where all are over within a moment.

    A median of few short runs is that of the moment: of the neighbours' use of the cache that all share, for example.
    """
    times: dict[str, list[float]] = {name: [] for name in functions}
    turn, begun = 0, time.perf_counter()
    while turn < repeats + WARM or (turn < MOST and time.perf_counter() - begun < ENOUGH):
        for name, function in functions.items():
            function()
            before = clock()
            function()
            if turn >= WARM:
                times[name].append(clock() - before)
        turn += 1
    return {name: statistics.median(taken) for name, taken in times.items()}


def layers(repeats: int, clock: Clock, only: list[str], threads: int, peak: float) -> None:
    head = ["layer", "", "lengths", "H", "B", "threads", "torch ms", "autocast ms", "twin ms", "bf16 ms"]
    head += ["twin ×", "kernels ×", "bf16 ×", "bf16 × autocast", "of peak"]
    table(head)
    for case in cases():
        if only and case.kind not in only:
            continue
        functions, work = candidates(case)
        taken = measure(functions, repeats, clock)
        name = f"bidirectional {case.kind}" if case.both else case.kind
        what = [name, "train" if case.train else "infer", case.lengths, case.hidden, case.batch, threads]
        ms = [f"{1e3 * taken[rival]:.2f}" for rival in ("torch", "autocast", "twin", "bf16")]
        ratios = [f"{taken['torch'] / taken[ours]:.2f}" for ours in ("twin", "kernels", "bf16")]
        share = work / min(taken["twin"], taken["kernels"]) / (peak * threads)
        row([*what, *ms, *ratios, f"{taken['autocast'] / taken['bf16']:.2f}", f"{share:.0%}"])


def scans(repeats: int, clock: Clock) -> None:
    """Training an LSTM layer against jax, whose threads cannot be counted: one processor is to be given to all."""
    table(["LSTM train", "H", "B", "jax ms", "ours ms", "ours ×"])
    for lengths, hidden, batch in (("variable", 128, 32), ("variable", 256, 32), ("padded", 256, 32)):
        ours, drawn = unrolled.nn.LSTM(hidden, hidden), draw(lengths, batch)
        x = torch.randn(int(drawn[0]), batch, hidden)
        rival = jax_training(Weights(*ours._flat_weights), x, drawn)
        if rival is None:
            return
        packed = pack_padded_sequence(x, drawn)
        functions: dict[str, Run] = {"jax": rival, "ours": partial(once, ours, packed, True)}
        taken = measure(functions, repeats, clock)
        shown = [f"{1e3 * taken['jax']:.2f}", f"{1e3 * taken['ours']:.2f}", f"{taken['jax'] / taken['ours']:.2f}"]
        row([lengths, hidden, batch, *shown])


def threads_against_one(repeats: int) -> None:
    """One and two threads turn about, wall time."""
    table(["train, variable lengths, two threads against one", "H", "B", "one ms", "two ms", "one / two"])
    for kind, both in (("LSTM", False), ("LSTM", True), ("GRU", False), ("GRU", True)):
        for hidden, batch in ((128, 8), (128, 32), (256, 8), (256, 32), (512, 8), (512, 32)):
            run = candidates(Case(kind, "variable", hidden, batch, both))[0]["kernels"]

            def with_threads(count: int, run: Run = run) -> None:
                torch.set_num_threads(count)
                run()

            functions: dict[str, Run] = {"one": partial(with_threads, 1), "two": partial(with_threads, 2)}
            taken = measure(functions, repeats, time.perf_counter)
            name = f"bidirectional {kind}" if both else kind
            shown = [f"{1e3 * taken['one']:.2f}", f"{1e3 * taken['two']:.2f}", f"{taken['one'] / taken['two']:.2f}"]
            row([name, hidden, batch, *shown])
    torch.set_num_threads(1)


def without_kernels(repeats: int, clock: Clock) -> None:
    """What remains where there is no compiler: to be run with UNROLLED_KERNELS=none."""
    head = ["train, variable lengths, no compiled kernels", "H", "B", "torch ms", "ours ms", "products ms"]
    table([*head, "ours ×", "products ×"])
    for kind in ("LSTM", "GRU", "RNN"):
        for hidden, batch in ((64, 32), (128, 8), (128, 32), (256, 8), (256, 32), (256, 64), (512, 32)):
            functions, _ = candidates(Case(kind, "variable", hidden, batch))
            rivals = {name: functions[name] for name in ("torch", "twin")}
            taken = measure({**rivals, "products": products(kind, hidden, batch)}, repeats, clock)
            ms = [f"{1e3 * taken[name]:.2f}" for name in ("torch", "twin", "products")]
            row([kind, hidden, batch, *ms, *(f"{taken['torch'] / taken[name]:.2f}" for name in ("twin", "products"))])


def products(kind: str, hidden: int, batch: int) -> Run:
    """The matrix products alone of forwards and back, by torch: no way that is written in plain torch takes less."""
    lengths = draw("variable", batch)
    sizes = [int((lengths > time).sum()) for time in range(int(lengths[0]))]
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[kind] * hidden
    x, h, d = (torch.randn(sum(sizes), features) for features in (hidden, hidden, gates))
    weight, made, back = torch.randn(gates, hidden), torch.empty_like(d), torch.empty_like(h)
    turned, gradient = weight.T.contiguous(), torch.empty_like(weight)

    def run() -> None:
        torch.mm(x, turned, out=made)
        for h_t, made_t in zip(h.split(sizes), made.split(sizes), strict=True):
            torch.mm(h_t, turned, out=made_t)
        for d_t, back_t in zip(d.split(sizes), back.split(sizes), strict=True):
            torch.mm(d_t, weight, out=back_t)
        torch.mm(d, weight, out=back)
        torch.mm(d.T, x, out=gradient)
        torch.mm(d.T, h, out=gradient)

    return run


def streaming(repeats: int, clock: Clock) -> None:
    """One row, one element at a time, the state carried; microseconds an element.

    Each element reads all weights: "reading" is how long a sum of as many numbers takes, which no step undercuts where
    they do not fit into a core's own caches.
    """
    head = ["cell", "H", "torch µs", "onnxruntime µs", "ours µs", "bf16 µs", "ours ×", "bf16 ×", "ours × onnxruntime"]
    table([*head, "MiB of weights", "reading µs"])
    for kind, made in (("lstm", nn.LSTMCell), ("gru", nn.GRUCell)):
        for hidden in (128, 256, 512):
            cell, x = made(hidden, hidden), torch.randn(1, hidden)
            names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            weights = Weights(*(getattr(cell, name).detach() for name in names))
            functions: dict[str, Run] = {"torch": steps(cell, x)}
            for name, half in (("ours", False), ("bf16", True)):
                functions[name] = repeated(Stream(kind, recurrence.pack(kind, weights, half)), x)
            if kind == "lstm" and (rival := onnx_steps(weights, x, STEPS)) is not None:
                functions["onnxruntime"] = rival
            numbers = torch.randn(sum(w.numel() for w in weights if w is not None))
            functions["reading"] = partial(summed, numbers)
            taken = {name: 1e6 * s / STEPS for name, s in measure(functions, 4 * repeats, clock).items()}
            shown = [f"{taken[n]:.1f}" if n in taken else "" for n in ("torch", "onnxruntime", "ours", "bf16")]
            shown += [f"{taken['torch'] / taken[n]:.2f}" for n in ("ours", "bf16")]
            shown.append(f"{taken['onnxruntime'] / taken['ours']:.2f}" if "onnxruntime" in taken else "")
            row([kind, hidden, *shown, f"{4 * len(numbers) / 2**20:.1f}", f"{taken['reading']:.1f}"])


STEPS = 100
"""Elements of a streaming run."""


def steps(cell: nn.Module, x: Tensor) -> Run:
    def run() -> None:
        state = None
        with torch.no_grad():
            for _ in range(STEPS):
                state = cell(x, state)

    return run


def summed(numbers: Tensor) -> None:
    for _ in range(STEPS):
        numbers.sum()


def repeated(stream: Stream, x: Tensor) -> Run:
    def run() -> None:
        for _ in range(STEPS):
            stream(x)

    return run


def peak_of(half: bool, clock: Clock) -> float:
    """Operations a second of one core, measured."""
    kernels = library.load()
    assert kernels is not None
    best = 0.0
    for _ in range(5):
        before = clock()
        done = kernels.unrolled_spin(half, 2_000_000)
        best = max(best, done / (clock() - before))
    return best


def table(head: list[str]) -> None:
    print(f"\n| {' | '.join(head)} |\n|{'---|' * len(head)}", flush=True)


def row(cells: list[object]) -> None:
    print("| " + " | ".join(map(str, cells)) + " |", flush=True)


def machine() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    name = f"{models[0]}, {len(models)} cores seen" if models else platform.processor() or platform.machine()
    return f"{name}; Python {platform.python_version()}, torch {torch.__version__}, kernels {library.why()}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--only", nargs="+", default=[], choices=("LSTM", "GRU", "RNN", "streaming", "threads", "jax"))
    options = parser.parse_args()
    clock = time.perf_counter if options.clock == "wall" else time.process_time
    torch.set_num_threads(1)
    if library.load() is None:
        print(f"\n{machine()}; {options.clock} time, medians of {options.repeats}.")
        without_kernels(options.repeats, clock)
        return
    peak = peak_of(False, clock)
    print(f"\n{machine()}; {options.clock} time, medians of {options.repeats}.")
    print(f"Peak of one core: {peak / 1e9:.0f} GFLOP/s in float32, {peak_of(True, clock) / 1e9:.0f} in bfloat16.")
    for threads in options.threads:
        torch.set_num_threads(threads)
        if not options.only or {"LSTM", "GRU", "RNN"} & set(options.only):
            layers(options.repeats, clock, options.only, threads, peak)
    torch.set_num_threads(1)
    if "threads" in options.only or (not options.only and max(options.threads) > 1):
        threads_against_one(options.repeats)
    if not options.only or "streaming" in options.only:
        streaming(options.repeats, clock)
    if not options.only or "jax" in options.only:
        scans(options.repeats, clock)


if __name__ == "__main__":
    main()
