"""How fast translators train and translate, at the sizes of other toolkits' models: one command.

    python benchmarks/translation.py --data multi30k [--model runs/en-de] [--peer "NAME=COMMAND" …] [--rounds 3]

Training: whole steps (batch made, forwards, gradients, clipping, AdamW) on batches of 64 sentence pairs of like length,
words that occur twice or more, lower case, on one core. `equal` is the network that the toolkits train, attention
behind the decoder's cell and input feeding; `between` is the default here, of the same sizes, where nothing loops.
A share of the peak counts matrix products of true elements only.

Translating: a trained model's folder, the first sentences of the test split, beam 5, in batches of 32 and one by one.

A peer is any command that measures itself and prints `… sentences/s`, at the sizes of the first table's rows: the first
that is given at the first size, the second at the second. Peers and ours take turns, as often as `--rounds` says, peers
at the end once more; the last table has the medians. On a shared host, whose speed changes from minute to minute, a
single round says little.
"""

from __future__ import annotations

import argparse
import re
import statistics
import subprocess
import time
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from speed import machine, peak_of, row, table

from unrolled import api
from unrolled.data import reading
from unrolled.data.batching import bucketed
from unrolled.data.examples import Pair
from unrolled.tasks.translator import Translator
from unrolled.unroll import fused

WORDS: dict[str, Any] = {"source_tokens": "words", "target_tokens": "words", "minimum_count": 2, "case": "lower"}
RATES: dict[str, Any] = {"embedding_dropout": 0.2, "dropout": 0.2, "readout_dropout": 0.2, "label_smoothing": 0.0}
SIZES: dict[str, dict[str, Any]] = {
    "GRU 256 a side, decoder 256": {"cell": "gru", "encoder_hidden": 256, "hidden_size": 256, "attention_size": 256},
    "GRU 128 a side, decoder 256": {"cell": "gru", "encoder_hidden": 128, "hidden_size": 256, "attention_size": 256},
}
KINDS: dict[str, dict[str, Any]] = {
    "equal": {"layers": 1, "place": "after", "feeding": "input", "readout": "context", "tied": "none"},
    "between": {"layers": 2, "place": "between"},
}
BATCH, WARM = 64, 3


def operations(task: Translator, source: int, target: int, pairs: int) -> float:
    """Of the matrix products of a step: these numbers of source and target elements, and of pairs of both."""
    weights = {name: p.numel() for name, p in task.named_parameters() if p.dim() == 2}
    read = sum(n for name, n in weights.items() if name.startswith("network.encoder.stack") or "score.key" in name)
    looked_up = ("embedding.weight", "target.weight", "encoder.", "bridge", "score.key")
    said = sum(n for name, n in weights.items() if not any(part in name for part in looked_up))
    if task.network.softmax.weight is task.network.target.weight:
        said += task.network.softmax.weight.numel()
    return 6.0 * (source * read + target * said + pairs * 2 * task.options["encoder_hidden"])


def train(task: Translator, batches: Sequence[np.ndarray], encoded: Sequence[Any], seconds: float, half: bool) -> Any:
    """Sentences, target tokens and operations of products, each a second."""
    engine = torch.optim.AdamW(task.parameters(), lr=1e-3, fused=True)
    parameters = list(task.parameters())
    task.train()
    counted = np.zeros(3)
    begun = 0.0
    for number, rows in enumerate(batches):
        if number == WARM:
            begun = time.perf_counter()
        if number >= WARM and time.perf_counter() - begun > seconds:
            break
        with fused.precision("bfloat16" if half else "float32"):
            batch = task.collate([encoded[k] for k in rows])
            loss = task.loss(batch)
            engine.zero_grad()
            (loss.total / loss.count).backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        engine.step()
        if number >= WARM:
            lengths = [(len(one.source), len(one.said) + 1) for one in batch.rows]
            source, target = (sum(each) for each in zip(*lengths, strict=True))
            counted += len(rows), target, operations(task, source, target, sum(s * t for s, t in lengths))
    return counted / (time.perf_counter() - begun)


Found = dict[tuple[str, ...], list[float]]
"""Sentences a second of each round."""


def training(data: Path, seconds: float, found: Found) -> None:
    pairs = reading.read(data / "train", Pair, columns={"source": "en", "target": "de"})
    peak = peak_of(False, time.perf_counter)
    print(f"\nPeak of one core: {peak / 1e9:.0f} GFLOP/s in float32.")
    table(["train, one core", "network", "type", "weights", "sentences/s", "target tokens/s", "of the float32 peak"])
    for size, sizes in SIZES.items():
        for kind, options in KINDS.items():
            torch.manual_seed(1)
            task = Translator.prepare(pairs, **WORDS, **RATES, **sizes, **options)
            encoded = [task.encode(pair) for pair in pairs]
            batches = bucketed([e.length for e in encoded], elements=10**9, rows=BATCH, seed=1, epoch=0)
            weights = sum(p.numel() for p in task.parameters())
            for half in (False, True):
                sentences, tokens, done = train(task, batches, encoded, seconds, half)
                shown = [f"{weights:,}", f"{sentences:.0f}", f"{tokens:.0f}", f"{done / peak:.0%}"]
                row([size, kind, "bfloat16" if half else "float32", *shown])
                found.setdefault((size, kind, "bfloat16" if half else "float32"), []).append(float(sentences))


def translating(model: Any, data: Path, sentences: int, found: Found) -> None:
    test = reading.read(data / "test_2016_flickr", Pair, columns={"source": "en", "target": "de"})
    sources = [Pair(source=pair.source) for pair in test[:sentences]]
    weights = sum(p.numel() for p in model.task.parameters())
    print(f"\nA model of {weights:,} weights.")
    table(["translate, beam 5, one core", "type", "sentences", "ms a sentence", "sentences/s", "tokens a sentence"])
    parts = (("batches of 32", sources, 32), ("one by one", sources[: max(1, sentences // 5)], 1))
    for precision, (name, some, rows) in product(("float32", "bfloat16"), parts):
        said = model.task.predict(some[:32], batch_rows=rows, precision=precision)
        begun = time.perf_counter()
        if rows == 1:
            said = [model.task.predict([one], precision=precision)[0] for one in some]
        else:
            said = model.task.predict(some, batch_rows=rows, precision=precision)
        taken = (time.perf_counter() - begun) / len(some)
        tokens = np.mean([len(model.task.tokenisers["target"].tokens(pair.target or "")) for pair in said])
        row([name, precision, len(some), f"{1e3 * taken:.1f}", f"{1 / taken:.0f}", f"{tokens:.1f}"])
        found.setdefault((name, precision), []).append(1 / taken)


def peers(commands: Sequence[str], found: Found) -> None:
    for given in commands:
        name, _, command = given.partition("=")
        done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
        lines = [line for line in done.stdout.splitlines() if "sentences/s" in line]
        print(f"{name}: " + (" | ".join(lines) or f"no figure (exit code {done.returncode})"), flush=True)
        figures = [float(figure) for line in lines for figure in re.findall(r"([\d.]+) sentences/s", line)]
        found.setdefault((name,), []).extend(figures)


def summary(commands: Sequence[str], found: Found) -> None:
    """Medians over the rounds, and the ratio to the peer of a row's size."""
    names = [given.partition("=")[0] for given in commands]
    of_size = dict(zip(SIZES, names, strict=False))
    print("\nMedians of all rounds, from the least to the most:")
    table(["", "sentences/s", "ms a sentence", "beside it", "ratio"])
    for key, speeds in found.items():
        middle, peer = statistics.median(speeds), of_size.get(key[0])
        rival = statistics.median(found[peer,]) if peer is not None and found.get((peer,)) else None
        shown = [f"{middle:.1f} ({min(speeds):.1f} to {max(speeds):.1f})", f"{1e3 / middle:.1f}"]
        row([", ".join(key), *shown, peer or "", "" if rival is None else f"{middle / rival:.2f}"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder of Multi30k")
    parser.add_argument("--model", type=Path, help="a trained translator, to be timed")
    parser.add_argument("--peer", action="append", default=[], help="NAME=COMMAND")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--sentences", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"\n{machine()}; wall time.")
    model, found = None if options.model is None else api.load(options.model), Found()
    for _ in range(options.rounds):
        peers(options.peer, found)
        training(options.data, options.seconds, found)
        if model is not None:
            translating(model, options.data, options.sentences, found)
    peers(options.peer, found)
    summary(options.peer, found)


if __name__ == "__main__":
    main()
