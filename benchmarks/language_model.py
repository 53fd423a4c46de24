"""A word language model: how fast a training step is against torch, and what bfloat16 costs in quality.

    python benchmarks/language_model.py speed [--threads 1 2] [--clock cpu|wall] [--repeats 15]
    python benchmarks/language_model.py quality --data FOLDER [--seeds 1 2 3] [--precision float32 bfloat16]
        [--epochs 2] [--threads 1]

The model of both: an embedding of 256, two LSTM layers of 256, a softmax over 10,000 words tied to the embedding, 32
streams of text, 35 words a step, Adam; the state is carried from step to step and detached.

`speed`: `torch` is nn.Embedding, nn.LSTM, nn.Linear, cross_entropy and Adam as torch has them by default, `autocast`
the same in bfloat16 as torch does it; `ours` is the same model by this library's layers, with its full, its adaptive
and its sampled softmax, and Adam with fused=True. Words are drawn from a Zipf law. The candidates take turns in one
process; the figures are medians, a ratio is torch's time over ours. The share of the peak counts the products'
operations only. A second table is of weight drop: recurrent weights dropped at random, and their gradient.

`quality`: FOLDER holds `ptb.train.txt`, `ptb.valid.txt` and `ptb.test.txt` (Penn Treebank, Mikolov's 10,000 words),
also as .xz or .gz. Dropout on what each layer and the softmax read, gradients clipped, a learning rate that falls to
nothing as a cosine. The model of the epoch that is best in validation is tested, once, at the end. Only training is in
bfloat16; perplexities are of float32. Two epochs, the default, show a difference, and are no attempt at a good model.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from penn import read
from speed import Clock, machine, measure, peak_of, row, table
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from unrolled import state as states
from unrolled.cells.lstm import LSTM
from unrolled.kernels import library
from unrolled.layers.adaptive_softmax import AdaptiveSoftmax, cutoffs_for
from unrolled.layers.dropout import dropped
from unrolled.layers.embedding import Embedding
from unrolled.layers.recurrent import Recurrent
from unrolled.layers.sampled_softmax import SampledSoftmax
from unrolled.layers.softmax import Softmax
from unrolled.training.clip import clip
from unrolled.unroll import fused

WORDS, SIZE, LAYERS, STREAMS, STEPS = 10_000, 256, 2, 32, 35
DROPOUT, RATE, CLIP = 0.1, 3e-3, 1.0
KINDS = ("full", "adaptive", "sampled")


class Ours(nn.Module):
    """By this library's layers. ids and targets: (time, streams)."""

    def __init__(self, dropout: float = 0.0, kind: str = "full") -> None:
        super().__init__()
        self.embedding = Embedding(WORDS, SIZE)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(Recurrent(LSTM(SIZE, SIZE)) for _ in range(LAYERS))
        table = self.embedding.weight
        counts = [WORDS // (word + 1) for word in range(WORDS)]
        self.softmax: Softmax | AdaptiveSoftmax = Softmax(SIZE, WORDS, weight=table)
        if kind == "adaptive":
            self.softmax = AdaptiveSoftmax(SIZE, WORDS, cutoffs_for(counts), weight=table)
        elif kind == "sampled":
            self.softmax = SampledSoftmax(SIZE, WORDS, samples=1000, counts=counts, weight=table)

    def read(self, ids: Tensor, state: Any) -> tuple[Tensor, Any]:
        """What the softmax reads, (time * streams, features), and the state of each layer."""
        sizes, after = torch.full((len(ids),), ids.shape[1]), []
        x = PackedSequence(self.dropout(self.embedding(ids.flatten())), sizes)
        for layer, before in zip(self.layers, state or [None] * LAYERS, strict=True):
            x, final = layer(x, before)
            x = x._replace(data=self.dropout(x.data))
            after.append(final)
        return x.data, tuple(after)

    def loss(self, ids: Tensor, targets: Tensor, state: Any) -> tuple[Tensor, Any]:
        x, state = self.read(ids, state)
        return self.softmax.loss(x, targets.flatten()), states.detach(state)


class Theirs(nn.Module):
    """By torch's."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(WORDS, SIZE)
        self.lstm = nn.LSTM(SIZE, SIZE, LAYERS)
        self.linear = nn.Linear(SIZE, WORDS)
        self.linear.weight = self.embedding.weight

    def loss(self, ids: Tensor, targets: Tensor, state: Any) -> tuple[Tensor, Any]:
        x, state = self.lstm(self.embedding(ids), state)
        loss = nn.functional.cross_entropy(self.linear(x).flatten(0, 1), targets.flatten())
        return loss, states.detach(state)


# ------------------------------------------------------------------ speed


def training(model: Any, optimizer: torch.optim.Optimizer) -> Callable[[], None]:
    """One step at a call, the state carried."""
    kept: list[Any] = [None]

    def step() -> None:
        words = zipf(STEPS + 1, STREAMS)
        loss, kept[0] = model.loss(words[:-1], words[1:], kept[0])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def zipf(*shape: int) -> Tensor:
    """Words, the k-th with a probability that goes as 1 / k."""
    return (WORDS ** torch.rand(*shape)).long().sub_(1).clamp_(0, WORDS - 1)


def candidates() -> dict[str, Callable[[], None]]:
    def within(context: Callable[[], Any], step: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            with context():
                step()

        return run

    theirs, theirs_half = Theirs(), Theirs()
    found = {
        "torch": training(theirs, torch.optim.Adam(theirs.parameters())),
        "autocast": within(
            lambda: torch.autocast("cpu", dtype=torch.bfloat16),
            training(theirs_half, torch.optim.Adam(theirs_half.parameters())),
        ),
    }
    for kind in KINDS:
        for precision in ("float32", "bfloat16"):
            ours = Ours(kind=kind)
            step = training(ours, torch.optim.Adam(ours.parameters(), fused=True))
            found[f"{kind} {precision}"] = within(partial(fused.precision, precision), step)
    return found


def speed(threads: list[int], repeats: int, clock: Clock) -> None:
    peaks = {"float32": peak_of(False, clock), "bfloat16": peak_of(True, clock)}
    elements = STEPS * STREAMS
    work = 6 * elements * (WORDS * SIZE + LAYERS * 8 * SIZE**2)
    print(f"\n{machine()}; medians of {repeats}.")
    print(f"Peak of one core: {peaks['float32'] / 1e9:.0f} GFLOP/s, {peaks['bfloat16'] / 1e9:.0f} in bfloat16.")
    table(["softmax", "threads", "torch ms", "autocast ms", "ours ms", "bf16 ms", "ours ×", "bf16 ×", "bf16 × autocast",
           "ours of peak", "bf16 of peak", "words/s", "bf16 words/s"])  # fmt: skip
    for count in threads:
        torch.set_num_threads(count)
        torch.manual_seed(1)
        taken = measure(candidates(), repeats, clock)
        for kind in KINDS:
            ours = [taken[f"{kind} {precision}"] for precision in ("float32", "bfloat16")]
            ms = [f"{1e3 * time:.1f}" for time in (taken["torch"], taken["autocast"], *ours)]
            ratios = [f"{taken['torch'] / time:.2f}" for time in ours]
            shares = [f"{work / time / peaks[p] / count:.0%}" for p, time in zip(peaks, ours, strict=True)]
            if kind != "full":  # which products there are is a matter of the words drawn
                shares = ["", ""]
            words = [f"{elements / time:,.0f}" for time in ours]
            row([kind, count, *ms, *ratios, f"{taken['autocast'] / ours[1]:.2f}", *shares, *words])


def dropping(threads: list[int], repeats: int, clock: Clock) -> None:
    """Recurrent weights dropped at random, as weight drop does in each step of a training, and their gradient."""

    def step(drop: Callable[[Tensor, float], Tensor], weights: Tensor) -> None:
        drop(weights, 0.2).backward(torch.ones_like(weights))
        weights.grad = None

    table(["weights dropped", "threads", "torch ms", "ours ms", "×"])
    for count in threads:
        torch.set_num_threads(count)
        for hidden in (256, 512, 1024):
            weights = torch.randn(4 * hidden, hidden, requires_grad=True)
            taken = measure(
                {"torch": partial(step, nn.functional.dropout, weights), "ours": partial(step, dropped, weights)},
                repeats,
                clock,
            )
            ratio = f"{taken['torch'] / taken['ours']:.1f}"
            row([f"4 × {hidden} × {hidden}", count, *(f"{1e3 * time:.2f}" for time in taken.values()), ratio])


# ------------------------------------------------------------------ quality


def batches(words: Tensor, streams: int, steps: int = STEPS) -> Iterator[tuple[Tensor, Tensor]]:
    """Continuous streams side by side, (time, streams) each of what is read and what comes next."""
    each = (len(words) - 1) // streams
    ids = words[: each * streams].view(streams, each).t()
    targets = words[1 : each * streams + 1].view(streams, each).t()
    yield from zip(ids.split(steps), targets.split(steps), strict=True)


@torch.no_grad()
def perplexity(model: Ours, words: Tensor) -> float:
    """Of one stream, every word but the first, in float32."""
    model.eval()
    total, count, state = 0.0, 0, None
    for ids, targets in batches(words, 1, 10 * STEPS):
        x, state = model.read(ids, state)
        losses = model.softmax.losses(x, targets.flatten())
        total, count = total + losses.double().sum().item(), count + len(losses)
    model.train()
    return math.exp(total / count)


def train(data: dict[str, Tensor], seed: int, precision: str, epochs: int, limit: int) -> tuple[float, float, float]:
    """Perplexities in validation and test, words a second of training. limit: steps of an epoch at most."""
    torch.manual_seed(seed)
    model = Ours(dropout=DROPOUT)
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE, fused=True)
    steps = min(limit, math.ceil((len(data["train"]) // STREAMS) / STEPS))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * steps)
    best, kept, seconds = math.inf, model.state_dict(), 0.0
    for epoch in range(epochs):
        started, state = time.perf_counter(), None
        for place, (ids, targets) in enumerate(batches(data["train"], STREAMS)):
            if place == steps:
                break
            with fused.precision(precision):
                loss, state = model.loss(ids, targets, state)
                optimizer.zero_grad()
                loss.backward()
            clip(list(model.parameters()), CLIP)
            optimizer.step()
            schedule.step()
        seconds += time.perf_counter() - started
        found = perplexity(model, data["valid"])
        print(f"seed {seed}, {precision}, epoch {epoch + 1}: validation {found:.2f}", flush=True)
        if found < best:
            best, kept = found, {name: value.clone() for name, value in model.state_dict().items()}
    model.load_state_dict(kept)
    return best, perplexity(model, data["test"]), epochs * steps * STEPS * STREAMS / seconds


def quality(data: dict[str, Tensor], seeds: list[int], precisions: list[str], epochs: int, limit: int) -> None:
    print(f"\n{machine()}; {torch.get_num_threads()} threads, {epochs} epochs.")
    runs = {(name, seed): train(data, seed, name, epochs, limit) for seed in seeds for name in precisions}
    table(["precision", "seed", "validation", "test", "words a second"])
    for name in precisions:
        mine = [runs[name, seed] for seed in seeds]
        for seed, (valid, test, rate) in zip(seeds, mine, strict=True):
            row([name, seed, f"{valid:.2f}", f"{test:.2f}", f"{rate:,.0f}"])
        if len(seeds) > 1:
            cells = [f"{statistics.mean(x):.2f} ± {statistics.stdev(x):.2f}" for x in list(zip(*mine, strict=True))[:2]]
            row([name, "mean ± deviation", *cells, f"{statistics.mean(rate for _, _, rate in mine):,.0f}"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(dest="part", required=True)
    one = parts.add_parser("speed")
    one.add_argument("--threads", type=int, nargs="+", default=[1])
    one.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    one.add_argument("--repeats", type=int, default=15)
    other = parts.add_parser("quality")
    other.add_argument("--data", type=Path, required=True)
    other.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    other.add_argument("--precision", nargs="+", default=["float32", "bfloat16"], choices=("float32", "bfloat16"))
    other.add_argument("--epochs", type=int, default=2)
    other.add_argument("--threads", type=int, default=1)
    other.add_argument("--limit", type=int, default=1 << 40, help="steps of an epoch at most, to try it out")
    given = parser.parse_args()
    if library.load() is None:
        raise SystemExit(f"there is nothing to measure: {library.why()}")
    if given.part == "speed":
        clock = time.perf_counter if given.clock == "wall" else time.process_time
        speed(given.threads, given.repeats, clock)
        dropping(given.threads, given.repeats, clock)
    else:
        torch.set_num_threads(given.threads)
        quality(read(given.data), given.seeds, given.precision, given.epochs, given.limit)


if __name__ == "__main__":
    main()
