"""How fast the loop of a decoder with additive attention is trained, against torch: one command, a table.

    python benchmarks/decoder.py [--threads 1 2] [--clock cpu|wall] [--repeats 15]

The loop alone, forwards and all gradients, without encoder, embeddings and output layer: `B` rows of a source and a
target, from annotations (as of a bidirectional encoder) and embedded target words to the decoder's states and contexts.
Two rivals: `tutorial` does as tutorials write it, all of it in each step; `batched` does beforehand what does not wait
for the state, the keys and the words' share of the gates. The candidates take turns inside one process; a figure is the
median over the turns, a ratio the rival's time over ours. A share of the peak counts the matrix products of true
elements only, no padding, neither the softmax nor the scores' tanh. With `ragged` lengths the rivals work on padded
batches with masks, as they must.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from speed import Clock, Run, machine, measure, peak_of, row, table
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from unrolled.cells.base import Cell
from unrolled.cells.gru import GRU
from unrolled.cells.lstm import LSTM
from unrolled.kernels import library
from unrolled.layers.attention import QueryScore
from unrolled.layers.decoder import AttentionDecoder
from unrolled.unroll import fused

BATCH, LONGEST, HIDDEN, WORDS, FEATURES, UNITS = 64, 13, 256, 256, 512, 256

Gradients = Callable[[Tensor, Tensor], None]


class Data(NamedTuple):
    """words: (batch, target, words); memory: (batch, source, features); lengths of both, longest target first."""

    words: Tensor
    memory: Tensor
    targets: Tensor
    sources: Tensor


class Rival(nn.Module):
    """What tutorials write: attention over all of the encoder's outputs and one tick, in each step."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.cell = getattr(nn, f"{kind}Cell")(WORDS + FEATURES, HIDDEN)
        self.attention = nn.Linear(HIDDEN + FEATURES, UNITS)
        self.value = nn.Linear(UNITS, 1, bias=False)
        self.is_lstm = kind == "LSTM"

    def forward(self, data: Data) -> tuple[Tensor, Tensor]:
        h = c = data.memory.new_zeros(BATCH, HIDDEN)
        mask = torch.arange(data.memory.shape[1]) < data.sources.unsqueeze(1)
        outputs, contexts = [], []
        for word in data.words.unbind(1):
            repeated = h.unsqueeze(1).expand(-1, data.memory.shape[1], -1)
            energy = torch.tanh(self.attention(torch.cat([repeated, data.memory], dim=2)))
            scores = self.value(energy).squeeze(2).masked_fill(~mask, -1e10)
            context = torch.bmm(scores.softmax(dim=1).unsqueeze(1), data.memory).squeeze(1)
            x = torch.cat([word, context], dim=1)
            if self.is_lstm:
                h, c = self.cell(x, (h, c))
            else:
                h = self.cell(x, h)
            outputs.append(h)
            contexts.append(context)
        return torch.stack(outputs, dim=1), torch.stack(contexts, dim=1)


class Batched(Rival):
    """The same, with all that need not wait for the state done once for all steps."""

    def forward(self, data: Data) -> tuple[Tensor, Tensor]:
        h = c = data.memory.new_zeros(BATCH, HIDDEN)
        mask = torch.arange(data.memory.shape[1]) >= data.sources.unsqueeze(1)
        of_query, of_key = self.attention.weight.split([HIDDEN, FEATURES], dim=1)
        of_word, of_context = self.cell.weight_ih.split([WORDS, FEATURES], dim=1)
        keys = nn.functional.linear(data.memory, of_key, self.attention.bias)
        shares = nn.functional.linear(data.words, of_word, self.cell.bias_ih)
        outputs, contexts = [], []
        for share in shares.unbind(1):
            energy = torch.tanh(keys + nn.functional.linear(h, of_query).unsqueeze(1))
            scores = torch.matmul(energy, self.value.weight[0]).masked_fill(mask, -1e10)
            context = torch.bmm(scores.softmax(dim=1).unsqueeze(1), data.memory).squeeze(1)
            h, c = self.tick(share + nn.functional.linear(context, of_context), h, c)
            outputs.append(h)
            contexts.append(context)
        return torch.stack(outputs, dim=1), torch.stack(contexts, dim=1)

    def tick(self, share: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        by_state = nn.functional.linear(h, self.cell.weight_hh, self.cell.bias_hh)
        if self.is_lstm:
            i, f, g, o = (share + by_state).chunk(4, dim=1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            return o.sigmoid() * c.tanh(), c
        x_rz, x_n = share.split([2 * HIDDEN, HIDDEN], dim=1)
        u_rz, u_n = by_state.split([2 * HIDDEN, HIDDEN], dim=1)
        r, z = (x_rz + u_rz).sigmoid().chunk(2, dim=1)
        return torch.lerp((x_n + r * u_n).tanh(), h, z), c


def ours(rival: Rival) -> AttentionDecoder:
    """The decoder of the same weights."""
    kind: type[Cell] = LSTM if rival.is_lstm else GRU
    decoder = AttentionDecoder(kind(WORDS + FEATURES, HIDDEN), QueryScore(FEATURES, HIDDEN, UNITS))
    decoder.cell.load_state_dict(rival.cell.state_dict())
    query, key = rival.attention.weight.detach().split([HIDDEN, FEATURES], dim=1)
    of = {
        "key.weight": key,
        "query.weight": query,
        "query.bias": rival.attention.bias,
        "value.weight": rival.value.weight,
    }
    decoder.score.load_state_dict({name: t.detach() for name, t in of.items()})
    return decoder


def draw(lengths: str) -> Data:
    """`equal`: all of the longest; `ragged`: from 4 to the longest, targets sorted."""
    targets = sources = torch.full((BATCH,), LONGEST)
    if lengths == "ragged":
        random = np.random.default_rng(1)
        targets, sources = (torch.from_numpy(random.integers(4, LONGEST + 1, BATCH)) for _ in range(2))
        targets = targets.sort(descending=True).values
        targets[0] = LONGEST
        sources[0] = LONGEST
    words, memory = torch.randn(BATCH, LONGEST, WORDS), torch.randn(BATCH, LONGEST, FEATURES)
    return Data(words, memory, targets, sources)


def work(kind: str, data: Data) -> float:
    """Operations of the products of one run, forwards and back."""
    gates, elements, places = {"LSTM": 4, "GRU": 3}[kind] * HIDDEN, int(data.targets.sum()), int(data.sources.sum())
    looked = int((data.targets * data.sources).sum())  # pairs of an element and a place: context and its gradients
    each = HIDDEN * UNITS + gates * (WORDS + FEATURES + HIDDEN)
    return 2 * 3 * (elements * each + places * FEATURES * UNITS + looked * FEATURES)


def once(module: nn.Module, data: Data) -> tuple[Tensor, Tensor]:
    """Forwards, and all gradients; the states and contexts, packed."""
    given = data._replace(words=data.words.clone().requires_grad_(), memory=data.memory.clone().requires_grad_())
    module.zero_grad()
    if isinstance(module, AttentionDecoder):
        made = module(pack_padded_sequence(given.words, given.targets, batch_first=True), given.memory, given.sources)
        outputs, contexts = made.outputs.data, made.contexts.data
    else:
        came = module(given)
        outputs, contexts = (pack_padded_sequence(t, given.targets, batch_first=True).data for t in came)
    torch.autograd.backward([outputs, contexts], [torch.ones_like(outputs), torch.ones_like(contexts)])
    return outputs, contexts


def candidates(kind: str, data: Data) -> dict[str, Run]:
    tutorial, batched = Rival(kind), Batched(kind)
    batched.load_state_dict(tutorial.state_dict())
    decoder = ours(tutorial)
    for mine, theirs in zip(once(decoder, data), once(tutorial, data), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-4)  # the same model

    def half() -> None:
        with fused.precision("bfloat16"):
            once(decoder, data)

    return {
        "tutorial": lambda: once(tutorial, data),
        "batched": lambda: once(batched, data),
        "ours": lambda: once(decoder, data),
        "bf16": half,
    }


def decoders(repeats: int, clock: Clock, threads: int, peak: float) -> None:
    head = ["cell", "lengths", "B", "threads", "tutorial ms", "batched ms", "ours ms", "bf16 ms"]
    table([*head, "× tutorial", "× batched", "bf16 × tutorial", "bf16 × batched", "of peak"])
    for kind in ("GRU", "LSTM"):
        for lengths in ("equal", "ragged"):
            data = draw(lengths)
            taken = measure(candidates(kind, data), repeats, clock)
            ms = [f"{1e3 * taken[name]:.1f}" for name in ("tutorial", "batched", "ours", "bf16")]
            ratios = [f"{taken[them] / taken[us]:.2f}" for us in ("ours", "bf16") for them in ("tutorial", "batched")]
            share = work(kind, data) / taken["ours"] / (peak * threads)
            row([kind, lengths, BATCH, threads, *ms, *ratios, f"{share:.0%}"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--repeats", type=int, default=15)
    options = parser.parse_args()
    if library.load() is None:
        raise SystemExit(f"there is nothing to measure: {library.why()}")
    clock = time.perf_counter if options.clock == "wall" else time.process_time
    peak = peak_of(False, clock)
    print(f"\n{machine()}; {options.clock} time, medians of {options.repeats}.")
    print(f"Source and target {LONGEST}, H={HIDDEN}, words {WORDS}, annotations {FEATURES}, attention {UNITS}.")
    print(f"Peak of one core: {peak / 1e9:.0f} GFLOP/s in float32, {peak_of(True, clock) / 1e9:.0f} in bfloat16.")
    for threads in options.threads:
        torch.set_num_threads(threads)
        decoders(options.repeats, clock, threads, peak)


if __name__ == "__main__":
    main()
