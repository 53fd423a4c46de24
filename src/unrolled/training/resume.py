"""Checkpoints: everything that the rest of a training depends on, so that a resumed run is the run never killed.

A checkpoint is one safetensors file for what changes at every step (weights, average, optimizer, the random stream;
counters as JSON in its header) and one for the best weights so far. Both are replaced together, whole or not at all,
and each holds a checksum of its content.
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

from unrolled.errors import BadModel, BadOption
from unrolled.files import finish, replace_files

NOW, BEST = "now.safetensors", "best.safetensors"
GROUPS = ("weights", "average", "optimizer", "random", "best")


class Checkpoint(NamedTuple):
    """tensors: group -> name -> tensor, one group for each of `GROUPS`; counters: JSON."""

    tensors: dict[str, dict[str, Tensor]]
    counters: dict[str, Any]


def write(
    folder: Path, tensors: Mapping[str, Mapping[str, Tensor]], counters: Mapping[str, Any], *, with_best: bool
) -> None:
    """Put a checkpoint into a folder. `with_best` False: the best weights are those of the last checkpoint.

    Raises `CannotWrite`; the last checkpoint is then unchanged.
    """
    now = {f"{group}/{name}": t for group, named in tensors.items() if group != "best" for name, t in named.items()}
    files = {NOW: _sealed(now, counters)}
    if with_best:
        files[BEST] = _sealed({f"best/{name}": t for name, t in tensors["best"].items()}, {})
    replace_files(folder, files)


def read(folder: Path) -> Checkpoint | None:
    """The folder's last checkpoint, or None where there is none. Raises `BadModel` where it is damaged."""
    tensors: dict[str, dict[str, Tensor]] = {group: {} for group in GROUPS}
    try:
        finish(folder)
        if not (folder / NOW).exists():
            return None
        now, counters = _opened(folder / NOW)
        best, _ = _opened(folder / BEST)
        for key, value in {**now, **best}.items():
            group, _, name = key.partition("/")
            tensors[group][name] = value
    except FileNotFoundError:
        raise BadModel(f"the checkpoint in {folder} is damaged ({BEST} is missing); remove it to start anew") from None
    except OSError as error:
        raise BadModel(f"the checkpoint in {folder} cannot be read: {error.strerror or error}") from None
    except (SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise BadModel(f"the checkpoint in {folder} is damaged ({error}); remove it to start anew") from None
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


def _sealed(tensors: Mapping[str, Tensor], counters: Mapping[str, Any]) -> bytes:
    text = json.dumps(counters)
    whole = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    return to_bytes(whole, metadata={"counters": text, "sha256": _checksum(whole, text)})


def _opened(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    with safe_open(str(path), framework="pt") as file:
        metadata = file.metadata() or {}
        # A clone, since what safetensors gives is a view of the file, which later checkpoints replace.
        tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118  (it is no mapping)
    if _checksum(tensors, metadata["counters"]) != metadata["sha256"]:
        raise ValueError(f"the checksum of {path.name} differs, so it was altered")
    return tensors, json.loads(metadata["counters"])


def _checksum(tensors: Mapping[str, Tensor], text: str) -> str:
    digest = hashlib.sha256(text.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.cpu().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
