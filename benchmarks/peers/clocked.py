"""What the drivers of other translation toolkits share: plain files of words, and a clock around a training step."""

from __future__ import annotations

import argparse
import lzma
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
