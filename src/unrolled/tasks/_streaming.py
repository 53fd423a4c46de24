"""Answers to each element of a text as it comes, in constant memory: what the streams of all tasks share."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from unrolled.errors import BadOption
from unrolled.state import State, tree_map
from unrolled.tasks._cutting import Cutter
from unrolled.tasks.base import Streamer


class TextStreamer(Streamer):
    """A stream of text. `carried` is all that the next answer depends on, a state by name; a subclass has `begin`,
    which makes it, and `answer`, which changes it.

    Args:
        network: is put into evaluation mode.
        tokens, everywhere: as `Cutter` has them.
        saved: of another one's `state`.

    Raises `BadOption` where what was saved is no such state, or that of another model.
    """

    def __init__(
        self, network: nn.Module, tokens: Callable[[str], list[str]], *, everywhere: bool, saved: State | None
    ) -> None:
        network.eval()
        self.model = fingerprint(network)
        self.carried: dict[str, State] = {}
        if saved is None:
            self.cutter = Cutter(tokens, everywhere=everywhere)
            self.begin()
            return
        if not isinstance(saved, dict) or set(saved) != {"model", "before", "carried"}:
            raise BadOption("this is no state of a stream")
        if not torch.equal(saved["model"], self.model):
            raise BadOption("this is a stream's state of another model: it can go on with its own alone")
        self.cutter = Cutter(tokens, everywhere=everywhere, before=bytes(saved["before"].tolist()).decode())
        self.carried = _again(saved["carried"])

    @abstractmethod
    def begin(self) -> None:
        """`carried` before the first element."""

    @abstractmethod
    def answer(self, token: str) -> dict[str, Any] | None:
        """The answer to a token; None where there is none, as to a line's end."""

    def read(self, text: str) -> Iterator[dict[str, Any]]:
        yield from self._answers(self.cutter.cut(text))

    def finish(self) -> Iterator[dict[str, Any]]:
        yield from self._answers(self.cutter.finish())

    @property
    def state(self) -> State:
        before = torch.from_numpy(np.frombuffer(self.cutter.before.encode(), dtype=np.uint8).copy())
        return {"model": self.model, "before": before, "carried": _again(self.carried)}

    def _answers(self, tokens: Iterator[str]) -> Iterator[dict[str, Any]]:
        for token in tokens:
            with torch.no_grad():  # not around the yield: what happens there is others'
                found = self.answer(token)
            if found is not None:
                yield found


def _again(carried: dict[str, State]) -> dict[str, State]:
    """The same tensors, which nobody writes into, in dicts and lists of their own, which a stream does change."""
    found: dict[str, State] = tree_map(lambda leaf: leaf, carried)
    return found


def fingerprint(network: nn.Module) -> Tensor:
    """32 bytes that no other weights have."""
    digest = hashlib.sha256()
    for name, value in network.state_dict().items():
        digest.update(f"{name} {tuple(value.shape)}".encode())
        digest.update(value.contiguous().view(-1).view(torch.uint8).numpy().data)
    return torch.from_numpy(np.frombuffer(digest.digest(), dtype=np.uint8).copy())
