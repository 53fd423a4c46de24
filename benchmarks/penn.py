"""Penn Treebank, Mikolov's 10,000 words, as numbers: what the language models of these benchmarks read."""

from __future__ import annotations

import gzip
import lzma
from pathlib import Path
from typing import Any

import torch
from torch import Tensor


def read(folder: Path) -> dict[str, Tensor]:
    """The ids of each split's words, each line ended by one of its own, the last one too.

    folder: holds `ptb.train.txt`, `ptb.valid.txt` and `ptb.test.txt`, also as .xz or .gz.
    """
    vocabulary: dict[str, int] = {}
    found = {}
    for split in ("train", "valid", "test"):
        (path,) = folder.glob(f"ptb.{split}.txt*")
        opened: Any = {".xz": lzma.open, ".gz": gzip.open}.get(path.suffix, open)
        with opened(path, "rt", encoding="utf-8") as file:
            words = [word for line in file for word in [*line.split(), "<eos>"]]
        if split == "train":
            vocabulary = {word: place for place, word in enumerate(dict.fromkeys(words))}
        found[split] = torch.tensor([vocabulary[word] for word in words])
    return found
