"""The word language model that tutorials train, by `torch.nn.LSTM` and stochastic gradient descent: a figure to beat.

    python benchmarks/plain_language_model.py --data FOLDER [--minutes 20] [--hidden 200] [--dropout 0.2]
        [--rate 20] [--tied] [--seed 1] [--threads 1]

FOLDER is read by `penn.py`. Two layers, an embedding and a linear layer; 20 streams, windows of 35 words, the state
carried; gradients clipped at 0.25, the rate divided by 4 after an epoch that did not better the validation. So the loop
is known from PyTorch's examples; it is written anew here. It stops when the time is over, in the middle of an epoch if
need be, and tests the weights that were best in validation.
Perplexities are of one stream, every word counted, the first as what follows a line end.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path
from typing import Any

import torch
from penn import read
from torch import Tensor, nn

STREAMS, STEPS, CLIP, LAYERS = 20, 35, 0.25, 2


class Plain(nn.Module):
    """Embedding, LSTM, linear layer, dropout between them."""

    def __init__(self, words: int, hidden: int, dropout: float, tied: bool) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.embedding = nn.Embedding(words, hidden)
        self.lstm = nn.LSTM(hidden, hidden, LAYERS, dropout=dropout)
        self.linear = nn.Linear(hidden, words)
        if tied:
            self.linear.weight = self.embedding.weight
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
        nn.init.uniform_(self.linear.weight, -0.1, 0.1)
        nn.init.zeros_(self.linear.bias)

    def forward(self, ids: Tensor, state: Any) -> tuple[Tensor, Any]:
        """ids: (time, streams) -> logits (time, streams, words), state."""
        x, state = self.lstm(self.dropout(self.embedding(ids)), state)
        return self.linear(self.dropout(x)), tuple(s.detach() for s in state)


@torch.no_grad()
def perplexity(model: Plain, words: Tensor) -> float:
    model.eval()
    total, state = 0.0, None
    # What is read first is the line end that the words end with.
    for ids, due in zip(words.roll(1).split(10 * STEPS), words.split(10 * STEPS), strict=True):
        logits, state = model(ids.unsqueeze(1), state)
        total += float(nn.functional.cross_entropy(logits.squeeze(1), due, reduction="sum"))
    model.train()
    return math.exp(total / len(words))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--hidden", type=int, default=200)
    parser.add_argument("--dropout", type=float, default=0.2)
    parser.add_argument("--rate", type=float, default=20.0)
    parser.add_argument("--tied", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    began = time.perf_counter()
    torch.set_num_threads(given.threads)
    torch.manual_seed(given.seed)
    data = read(given.data)
    model = Plain(int(data["train"].max()) + 1, given.hidden, given.dropout, given.tied)
    each = (len(data["train"]) - 1) // STREAMS
    ids = data["train"][: each * STREAMS].view(STREAMS, each).t()
    due = data["train"][1 : each * STREAMS + 1].view(STREAMS, each).t()
    best, kept, rate, epoch, words, trained = math.inf, model.state_dict(), given.rate, 0, 0, 0.0
    while time.perf_counter() - began < 60 * given.minutes:
        epoch, state, started = epoch + 1, None, time.perf_counter()
        for window, target in zip(ids.split(STEPS), due.split(STEPS), strict=True):
            model.zero_grad()
            logits, state = model(window, state)
            nn.functional.cross_entropy(logits.flatten(0, 1), target.flatten()).backward()
            nn.utils.clip_grad_norm_(model.parameters(), CLIP)
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter -= rate * parameter.grad  # type: ignore[operator]
            words += window.numel()
            if time.perf_counter() - began > 60 * given.minutes:
                break
        trained += time.perf_counter() - started
        found = perplexity(model, data["valid"])
        print(f"epoch {epoch}, {(time.perf_counter() - began) / 60:.1f} min, rate {rate:g}: {found:.2f}", flush=True)
        if found < best:
            best, kept = found, {name: value.clone() for name, value in model.state_dict().items()}
        else:
            rate /= 4
    model.load_state_dict(kept)
    print(f"validation {best:.2f}, test {perplexity(model, data['test']):.2f}, {words / trained:,.0f} words a second")


if __name__ == "__main__":
    main()
