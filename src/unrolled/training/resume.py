"""Checkpoints: everything that the rest of a training depends on, so that a resumed run is the run never killed.

A checkpoint is one safetensors file for what changes at every step (weights, average, optimizer, the random stream;
counters as JSON in its header) and one for the best weights so far. Both are replaced together, whole or not at all.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from unrolled.errors import BadModel, BadOption
from unrolled.files import finish, replace_files

NOW, BEST = "now.safetensors", "best.safetensors"


class Checkpoint(NamedTuple):
    """tensors: group -> name -> tensor, with the groups weights, average, optimizer, random, best; counters: JSON."""

    tensors: dict[str, dict[str, Tensor]]
    counters: dict[str, Any]


def write(
    folder: Path, tensors: Mapping[str, Mapping[str, Tensor]], counters: Mapping[str, Any], *, with_best: bool
) -> None:
    """Put a checkpoint into a folder. `with_best` False: the best weights are those of the last checkpoint.

    Raises `CannotWrite`; the last checkpoint is then unchanged.
    """
    metadata = {"counters": json.dumps(counters)}
    now = {f"{group}/{name}": t for group, named in tensors.items() if group != "best" for name, t in named.items()}
    files = {NOW: to_bytes(now, metadata=metadata)}
    if with_best:
        files[BEST] = to_bytes({f"best/{name}": t for name, t in tensors["best"].items()})
    replace_files(folder, files)


def read(folder: Path) -> Checkpoint | None:
    """The folder's last checkpoint, or None where there is none. Raises `BadModel` where it is damaged."""
    finish(folder)
    if not (folder / NOW).exists():
        return None
    tensors: dict[str, dict[str, Tensor]] = {g: {} for g in ("weights", "average", "optimizer", "random", "best")}
    counters: dict[str, Any] = {}
    try:
        for name in (NOW, BEST):
            if not (folder / name).exists():
                continue
            with safe_open(str(folder / name), framework="pt") as file:
                if name == NOW:
                    counters = json.loads((file.metadata() or {})["counters"])
                for key in file.keys():  # noqa: SIM118  (safe_open is no mapping)
                    group, _, rest = key.partition("/")
                    tensors[group][rest] = file.get_tensor(key)
    except (SafetensorError, KeyError, ValueError) as error:
        raise BadModel(f"the checkpoint in {folder} is damaged ({error}); remove it to start anew") from None
    return Checkpoint(tensors, counters)


def must_agree(then: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raise `BadOption`, naming each difference, where a run is resumed with other settings or data than it had."""
    differ = [
        f"{name} was {then.get(name)!r}, is now {now.get(name)!r}"
        for name in sorted({*then, *now})
        if then.get(name) != now.get(name)
    ]
    if differ:
        raise BadOption("this run cannot be resumed with other settings: " + "; ".join(differ))
