"""Checkpoints: everything that the rest of a training depends on, so that a resumed run is the run never killed.

A checkpoint is one safetensors file: weights, average, optimizer, the random stream, the best weights so far; counters
as JSON in its header, with a checksum of it all. It is replaced whole or not at all.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from unrolled.errors import BadModel, BadOption, CannotWrite
from unrolled.files import write_whole

NOW = "now.safetensors"
"""The file of a folder's last checkpoint."""
GROUPS = ("weights", "average", "optimizer", "random", "best", "carried")


class Checkpoint(NamedTuple):
    """tensors: group -> name -> tensor, one group for each of `GROUPS`; counters: JSON."""

    tensors: dict[str, dict[str, Tensor]]
    counters: dict[str, Any]


def write(folder: Path, tensors: Mapping[str, Mapping[str, Tensor]], counters: Mapping[str, Any]) -> None:
    """Put a checkpoint into a folder, made if need be; tensors and counters as in `Checkpoint`.

    Raises `CannotWrite`; the last checkpoint is then unchanged.
    """
    flat = {f"{group}/{name}": t.detach().contiguous() for group, named in tensors.items() for name, t in named.items()}
    text = json.dumps(counters)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotWrite(f"cannot write into {folder}: {error.strerror or error}") from None
    write_whole(folder / NOW, to_bytes(flat, metadata={"counters": text, "sha256": _checksum(flat, text)}))


def read(folder: Path) -> Checkpoint | None:
    """The folder's last checkpoint, or None where there is none. Raises `BadModel` where it is damaged."""
    path = folder / NOW
    for left in folder.glob(f".{NOW}.*"):
        # Its writer was killed. Nobody else writes here: whoever trains holds the output folder's lock.
        left.unlink(missing_ok=True)
    if not path.exists():
        return None
    tensors: dict[str, dict[str, Tensor]] = {group: {} for group in GROUPS}
    try:
        flat, counters = _opened(path)
        for key, value in flat.items():
            group, _, name = key.partition("/")
            tensors[group][name] = value
    except OSError as error:
        raise BadModel(f"the checkpoint {path} cannot be read: {error.strerror or error}") from None
    except (SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise BadModel(f"the checkpoint {path} is damaged ({error}); remove it to start anew") from None
    return Checkpoint(tensors, counters)


def remove(folder: Path) -> None:
    """Remove the checkpoints: from one moment on there are none, even where this is killed half-way."""
    going = folder.with_name(f".{folder.name}.going")
    shutil.rmtree(going, ignore_errors=True)
    try:
        os.replace(folder, going)
    except OSError:
        going = folder
    shutil.rmtree(going, ignore_errors=True)


def must_agree(then: Mapping[str, Any], now: Mapping[str, Any], most: int = 6) -> None:
    """Raise `BadOption`, naming each difference, where a run is resumed with other settings or data than it had."""
    differ = [
        f"{name} was {then.get(name)!r}, is now {now.get(name)!r}"
        for name in {**now, **then}
        if then.get(name) != now.get(name)
    ]
    if differ:
        raise BadOption(
            "this run cannot be resumed with other settings or data: "
            + "; ".join(differ[:most])
            + (f"; and {len(differ) - most} more" if len(differ) > most else "")
        )


def _opened(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    with safe_open(str(path), framework="pt") as file:
        metadata = file.metadata() or {}
        # A clone, since what safetensors gives is a view of the file, which later checkpoints replace.
        tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118  (it is no mapping)
    if _checksum(tensors, metadata["counters"]) != metadata["sha256"]:
        raise ValueError("its checksum differs, so it was altered")
    return tensors, json.loads(metadata["counters"])


def _checksum(tensors: Mapping[str, Tensor], text: str) -> str:
    digest = hashlib.sha256(text.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.cpu().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
