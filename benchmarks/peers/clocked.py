"""What the drivers of other translation toolkits share: plain files of words, and a clock around a training step."""

from __future__ import annotations

import argparse
import lzma
import re
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

BATCH, WARM = 64, 3
WORD = re.compile(r"\w+|[^\w\s]")


class EnoughError(Exception):
    """The time is up."""


def arguments(name: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=f"training speed of {name}, one core")
    parser.add_argument("--data", type=Path, required=True, help="the folder of Multi30k")
    parser.add_argument("--seconds", type=float, default=30.0)
    return parser.parse_args()


def write_words(data: Path, to: Path) -> None:
    """`train` and `val` of English and German, lower case, one space between words and marks."""
    for split in ("train", "val"):
        for language in ("en", "de"):
            plain = data / f"{split}.{language}"
            packed = data / f"{split}.{language}.xz"
            text = (plain.read_bytes() if plain.exists() else lzma.decompress(packed.read_bytes())).decode("utf-8")
            lines = [" ".join(WORD.findall(line.lower())) for line in text.splitlines()]
            (to / plain.name).write_text("\n".join(lines) + "\n", "utf-8")


def clocked(owner: type, name: str, count: Callable[..., int], run: Callable[[Path], None], toolkit: str) -> None:
    """Run a toolkit's training in a folder of its own, with the words of `write_words`, and print its speed.

    Args:
        owner, name: the trainer's class and its method that is called once for each batch.
        count: how many sentences a call of that holds.
        run: trains in the folder that it is given.
        toolkit: its name.
    """
    options = arguments(toolkit)
    torch.set_num_threads(1)
    step, clock = getattr(owner, name), list[Clock]()

    def timed(trainer: Any, *given: Any) -> Any:
        if not clock:
            print(f"{sum(p.numel() for p in trainer.model.parameters()):,} weights", end=", ")
            clock.append(Clock(step, count, options.seconds))
        return clock[0](trainer, *given)

    setattr(owner, name, timed)
    with tempfile.TemporaryDirectory() as made:
        write_words(options.data, Path(made))
        try:
            run(Path(made))
        except EnoughError as reached:
            print(f"{reached} sentences/s")


class Clock:
    """Sentences a second of all that happens between the calls of a function, its own time included.

    Args:
        step: is called once for each batch.
        count: how many sentences a call's arguments hold.
        seconds: after which `EnoughError` is raised.
    """

    def __init__(self, step: Callable[..., Any], count: Callable[..., int], seconds: float) -> None:
        self._step, self._count, self._seconds = step, count, seconds
        self._calls = self._sentences = 0
        self._begun = 0.0

    def __call__(self, *given: Any, **named: Any) -> Any:
        now = time.perf_counter()
        if self._calls == WARM:
            self._begun, self._sentences = now, 0
        if self._calls > WARM and now - self._begun > self._seconds:
            raise EnoughError(f"{self._sentences / (now - self._begun):.1f}")
        self._calls += 1
        self._sentences += self._count(*given, **named)
        return self._step(*given, **named)
