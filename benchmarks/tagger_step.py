"""One training step of a tagger, torch's modules against their twins: what the kernels bring where they are not alone.

    python benchmarks/tagger_step.py [--threads 1] [--clock cpu|wall] [--repeats 15] >> RESULTS.md

The same network twice: characters read by a bidirectional LSTM of 64 a side, beside word embeddings of 100; two
bidirectional layers of 256 a side; a softmax over 17 tags; 32 sentences. Torch's with its default Adam, ours with the
fused one. The candidates take turns; see `speed.py`.
"""

from __future__ import annotations

import argparse
import time
from functools import partial
from types import ModuleType

import numpy as np
import torch
from speed import Run, machine, measure, peak_of, row, table
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

import unrolled.nn
from unrolled.unroll import fused

WORDS, CHARACTERS, TAGS = 10_000, 100, 17


class Tagger(nn.Module):
    """The network, its recurrent layers taken from `recurrent`."""

    def __init__(self, recurrent: ModuleType) -> None:
        super().__init__()
        self.words, self.letters = nn.Embedding(WORDS, 100), nn.Embedding(CHARACTERS, 32)
        self.spelling = recurrent.LSTM(32, 64, bidirectional=True)
        self.context = recurrent.LSTM(100 + 128, 256, num_layers=2, bidirectional=True)
        self.tags = nn.Linear(512, TAGS)

    def forward(self, words: PackedSequence, letters: PackedSequence) -> Tensor:
        """words: ids of a batch of sentences; letters: ids of their words' characters -> (elements, tags)."""
        _, (last, _) = self.spelling(letters._replace(data=self.letters(letters.data)))
        spelt = torch.cat([last[0], last[1]], dim=1)
        read = torch.cat([self.words(words.data), spelt], dim=1)
        outputs, _ = self.context(words._replace(data=read))
        return self.tags(outputs.data)


def draw(rows: int, mean: float, most: int, symbols: int, random: np.random.Generator) -> PackedSequence:
    """Random ids of lognormal lengths."""
    lengths = random.lognormal(np.log(mean) - 0.18, 0.6, rows).round().clip(1, most).astype(np.int64)
    ids = torch.from_numpy(random.integers(symbols, size=(int(lengths.max()), rows)))
    return pack_padded_sequence(ids, torch.from_numpy(lengths), enforce_sorted=False)


def step(model: Tagger, optimizer: torch.optim.Optimizer, words: PackedSequence, letters: PackedSequence) -> None:
    optimizer.zero_grad()
    gold = words.data % TAGS
    nn.functional.cross_entropy(model(words, letters), gold).backward()
    optimizer.step()


def in_half(run: Run) -> None:
    with fused.precision("bfloat16"):
        run()


def under_autocast(run: Run) -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        run()


def work_of(words: PackedSequence, letters: PackedSequence) -> int:
    """Operations of a step's recurrent layers and last layer, forwards and back."""
    of_letters = len(letters.data) * 2 * 4 * 64 * (32 + 64)
    of_words = len(words.data) * (2 * 4 * 256 * (228 + 256 + 512 + 256) + 512 * TAGS)
    return 2 * 3 * (of_letters + of_words)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--repeats", type=int, default=15)
    options = parser.parse_args()
    clock = time.perf_counter if options.clock == "wall" else time.process_time
    torch.set_num_threads(options.threads)
    torch.manual_seed(1)
    random = np.random.default_rng(1)
    words = draw(32, 26, 80, WORDS, random)
    letters = draw(len(words.data), 4.9, 20, CHARACTERS, random)
    theirs, ours, half = Tagger(nn), Tagger(unrolled.nn), Tagger(unrolled.nn)
    ours.load_state_dict(theirs.state_dict())
    torch.testing.assert_close(theirs(words, letters), ours(words, letters))
    plain = partial(step, theirs, torch.optim.Adam(theirs.parameters()), words, letters)
    functions: dict[str, Run] = {
        "torch": plain,
        "autocast": partial(under_autocast, plain),
        "ours": partial(step, ours, torch.optim.Adam(ours.parameters(), fused=True), words, letters),
        "bf16": partial(in_half, partial(step, half, torch.optim.Adam(half.parameters(), fused=True), words, letters)),
    }
    taken, peak = measure(functions, options.repeats, clock), peak_of(False, clock) * options.threads
    print(f"\n{machine()}; {options.clock} time, medians of {options.repeats}.")
    print(f"{len(words.data)} words, {len(letters.data)} characters.")
    table(
        [
            "tagger's step",
            "threads",
            *(f"{name} ms" for name in taken),
            "ours ×",
            "bf16 ×",
            "bf16 × autocast",
            "of peak",
        ]
    )
    ratios = (taken["torch"] / taken["ours"], taken["torch"] / taken["bf16"], taken["autocast"] / taken["bf16"])
    share = work_of(words, letters) / taken["ours"] / peak
    shown = [*(f"{1e3 * t:.1f}" for t in taken.values()), *(f"{r:.2f}" for r in ratios), f"{share:.0%}"]
    row(["training", options.threads, *shown])


if __name__ == "__main__":
    main()
