"""A trained task as a folder that documents itself and is safe to load.

    config.json            task, options, format version, checksums of the weights, vocabularies and tokenisers
    model.safetensors      the weights
    vocabulary.NAME.json   each vocabulary, with its counts
    tokeniser.NAME.json    each tokeniser, where the task has some
    metrics.json, history.csv, training.toml, training.png, README.md     what the training left

Nothing is unpickled, evaluated or executed. Files appear all together or not at all (`unrolled.files`), and each
checksum is verified on loading. A file saved by an older format version still loads.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as from_bytes
from safetensors.torch import save as to_bytes

from unrolled.data.tokenisers.base import Tokeniser
from unrolled.data.vocabulary import Vocabulary
from unrolled.errors import BadModel
from unrolled.files import locate, replace_files
from unrolled.lookup import find
from unrolled.tasks.base import Task

FORMAT = 2
"""The newest format version: 1, and the tokenisers. Every version up to it is read; see `version_of`."""
CONFIG, WEIGHTS = "config.json", "model.safetensors"


def save(task: Task, folder: str | Path, *, beside: Mapping[str, bytes] | None = None) -> None:
    """Write a task into a folder.

    Args:
        task: any task.
        folder: made if need be; a model in it is replaced, whole or not at all.
        beside: further files of the set, name -> content, such as `metrics.json`.

    Raises:
        CannotWrite: no room, no permission; what was there is unchanged.
    """
    files = {WEIGHTS: to_bytes({name: value.contiguous() for name, value in task.distinct_weights().items()})}
    for name, vocabulary in task.vocabularies.items():
        files[f"vocabulary.{name}.json"] = _json(vocabulary.to_json())
    for name, tokeniser in task.tokenisers.items():
        files[f"tokeniser.{name}.json"] = _json(tokeniser.to_json())
    config: dict[str, Any] = {
        "format": version_of(task),
        "task": task.name,
        "options": task.options,
        "vocabularies": list(task.vocabularies),
        **({"tokenisers": list(task.tokenisers)} if task.tokenisers else {}),
        "parameters": sum(p.numel() for p in task.parameters()),
        "sha256": {name: _sha256(content) for name, content in sorted(files.items())},
    }
    config["checksum"] = _sha256(_json(config))
    replace_files(folder, {**(beside or {}), **files, CONFIG: _json(config)})


def version_of(task: Task) -> int:
    """The format version that a task is written in: the lowest that says all of it, so that most can read it.

    An unrolled that reads version 1 only would pass over tokenisers in silence. Version 2 makes it say that it cannot.
    """
    return 2 if task.tokenisers else 1


def load(folder: str | Path) -> Task:
    """The task that a folder holds, in evaluation mode, on the CPU, in the precision that it was saved in.

    Raises:
        BadModel: the folder or a file is missing, truncated or altered, or of a newer format version.
        UnknownName: the task, its cell or a tokeniser does not exist here.
    """
    config = read_config(folder)
    try:
        contents = {name: _verified(folder, config, name) for name in _needed(config)}
        vocabularies = {
            name: Vocabulary.from_json(json.loads(contents[f"vocabulary.{name}.json"]))
            for name in config["vocabularies"]
        }
        tokenisers = {
            name: Tokeniser.from_json(json.loads(contents[f"tokeniser.{name}.json"]))
            for name in config.get("tokenisers", ())
        }
        kind: Any = find("unrolled.tasks", config["task"], Task, "task")
        with torch.random.fork_rng(devices=[]):  # the weights drawn here are replaced at once
            task: Task = kind(vocabularies, *([tokenisers] if tokenisers else []), **config["options"])
        weights = from_bytes(contents[WEIGHTS])
        for dtype in {value.dtype for value in weights.values() if value.is_floating_point()}:
            task.to(dtype)
        task.load_weights(weights)
    except (SafetensorError, KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise BadModel(f"{folder} does not fit together: {error}") from None
    return task.eval()


def read_config(folder: str | Path) -> dict[str, Any]:
    """The folder's `config.json`, its checksum and format version verified. Raises `BadModel`."""
    path = locate(folder, CONFIG)
    if not Path(folder).exists():
        raise BadModel(f"there is no folder {folder}")
    if not Path(folder).is_dir():
        raise BadModel(f"{folder} is not a folder with a model in it")
    if not path.exists():
        raise BadModel(f"{folder} holds no model: {CONFIG} is missing")
    try:
        config = json.loads(path.read_bytes())
        version = config["format"]
    except OSError as error:
        raise BadModel(f"cannot read {path}: {error.strerror or error}") from None
    except (ValueError, KeyError, TypeError, RecursionError):
        raise BadModel(f"{path} is not a model's configuration: it is truncated or altered") from None
    if not isinstance(version, int) or version > FORMAT:
        raise BadModel(f"{folder} has format version {version}; this unrolled reads up to {FORMAT}: upgrade unrolled")
    checksum = config.pop("checksum", None)
    if checksum != _sha256(_json(config)):
        raise BadModel(f"{path} is not what was saved: its checksum differs, so it was altered")
    return config


def _needed(config: Mapping[str, Any]) -> list[str]:
    vocabularies = [f"vocabulary.{name}.json" for name in config["vocabularies"]]
    return [WEIGHTS, *vocabularies, *(f"tokeniser.{name}.json" for name in config.get("tokenisers", ()))]


def _verified(folder: str | Path, config: Mapping[str, Any], name: str) -> bytes:
    path = locate(folder, name)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise BadModel(f"{folder} is not whole: {name} is missing") from None
    except OSError as error:
        raise BadModel(f"cannot read {path}: {error.strerror or error}") from None
    if config["sha256"].get(name) != _sha256(content):
        raise BadModel(f"{path} is not what was saved: its checksum differs, so it was truncated or altered")
    return content


def read_beside(folder: str | Path, name: str) -> bytes | None:
    """A file that was saved beside the model, unverified; None where there is none."""
    path = locate(folder, name)
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BadModel(f"cannot read {path}: {error.strerror or error}") from None


def _json(value: Any) -> bytes:
    return (json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True) + "\n").encode()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
