"""Small tasks, small data, and ways to look at them, for the tests of training."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

from unrolled.data.examples import LabelledText, Origin, TaggedTokens
from unrolled.tasks.base import Loss, Task
from unrolled.tasks.classifier import Classifier
from unrolled.tasks.tagger import Tagger

WORDS = [f"w{k}" for k in range(12)]
SMALL = {"hidden_size": 3, "word_size": 3, "characters": "none", "layers": 1, "directions": "forward"}


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    # That files outlive a power cut is the matter of `files.py`; here hundreds of checkpoints are written.
    monkeypatch.setattr(os, "fsync", lambda handle: None)


def _sentences(count: int, seed: int = 0) -> list[TaggedTokens]:
    drawn = random.Random(seed)
    found = []
    for k in range(count):
        tokens = tuple(drawn.choice(WORDS) for _ in range(drawn.randint(1, 5)))
        tags = tuple("AB"[int(token[1:]) % 2] for token in tokens)
        found.append(TaggedTokens(tokens=tokens, tags=tags, origin=Origin("some.conllu", k + 1)))
    return found


@pytest.fixture
def sentences() -> Callable[..., list[TaggedTokens]]:
    """sentences(count, seed): tagged by the parity of the word's number."""
    return _sentences


@pytest.fixture
def texts() -> Callable[..., list[LabelledText]]:
    """texts(count, seed): labelled by the parity of the first word's number."""

    def made(count: int, seed: int = 0) -> list[LabelledText]:
        return [
            LabelledText(text=" ".join(e.tokens), label=(e.tags or ())[0], origin=e.origin)
            for e in _sentences(count, seed)
        ]

    return made


@pytest.fixture
def tagger() -> Callable[..., Tagger]:
    """tagger(examples, **options): the same weights each time."""

    def made(examples: Sequence[TaggedTokens], **options: Any) -> Tagger:
        torch.manual_seed(7)
        return Tagger.prepare(examples, **{**SMALL, "decoder": "softmax", **options})

    return made


@pytest.fixture
def classifier() -> Callable[..., Classifier]:
    """classifier(examples, **options): the same weights each time."""

    def made(examples: Sequence[LabelledText], **options: Any) -> Classifier:
        torch.manual_seed(7)
        return Classifier.prepare(examples, **{**SMALL, **options})

    return made


class Number(NamedTuple):
    """An example, and its encoding, of `Scripted`."""

    value: float
    origin: Origin | None = None

    @property
    def length(self) -> int:
        return 1


class Scripted(Task):
    """One weight w, the loss (w - x)^2 of each x, and figures at the checks that are written down beforehand."""

    metric = "figure"

    def __init__(self, figures: Sequence[float]) -> None:
        super().__init__({})
        self.w = nn.Parameter(torch.zeros(1))
        self.figures: Iterator[float] = iter(figures)
        self.seen: list[float] = []

    @classmethod
    def prepare(cls, examples: Sequence[Number], **options: Any) -> Scripted:
        return cls([])

    def encode(self, example: Number) -> Number:
        return example

    def collate(self, encoded: Sequence[Number]) -> Tensor:
        return torch.tensor([e.value for e in encoded])

    def loss(self, batch: Tensor) -> Loss:
        return Loss((self.w - batch).square().sum(), len(batch))

    def decide(self, batch: Tensor) -> list[dict[str, Any]]:
        raise NotImplementedError

    def predict(self, examples: Sequence[Number], **_: Any) -> list[Number]:
        return list(examples)

    def score(self, predicted: Sequence[Number], gold: Sequence[Number]) -> dict[str, float]:
        self.seen.append(self.w.item())
        return {"figure": next(self.figures)}

    def read(self, raw: Any) -> Any:
        return raw


@pytest.fixture
def scripted() -> Callable[[Sequence[float]], tuple[Scripted, list[Number]]]:
    """scripted(figures): a task whose checks give these figures one after the other, and four examples."""
    return lambda figures: (Scripted(figures), [Number(float(k)) for k in range(1, 5)])


@pytest.fixture
def weights() -> Callable[[nn.Module], dict[str, Tensor]]:
    """weights(task): a copy."""
    return lambda task: {name: value.detach().clone() for name, value in task.state_dict().items()}


@pytest.fixture
def same() -> Callable[[dict[str, Tensor], dict[str, Tensor]], bool]:
    """same(a, b): the same names and, bit for bit, the same tensors."""

    def bits(tensor: Tensor) -> bytes:
        return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()

    return lambda a, b: a.keys() == b.keys() and all(bits(a[name]) == bits(b[name]) for name in a)
