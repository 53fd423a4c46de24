"""The state is a value: a tensor whose first axis is the batch, or a tuple, list or dict of states.

The same few functions serve truncated back-propagation, beam search, streaming and server sessions. None changes its
argument. A NamedTuple stays one.

>>> import torch
>>> state = (torch.zeros(3, 2), {"memory": torch.ones(3, 4)})
>>> rows(state), rows(select(state, torch.tensor([0, 2]))), rows(repeat(state, 2))
(3, 2, 6)
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from unrolled.errors import BadData
from unrolled.files import write_whole

State = Any


def leaves(state: State) -> list[Tensor]:
    """The tensors of a state, in order (a dict's in the order of its keys)."""
    found: list[Tensor] = []
    tree_map(found.append, state)
    return found


def tree_map(function: Callable[..., Any], state: State, *others: State) -> State:
    """Apply a function to each tensor (and the tensors in the same places of the other states); keep the nesting."""
    if isinstance(state, Tensor):
        return function(state, *others)
    if isinstance(state, dict):
        for other in others:
            if not isinstance(other, dict) or other.keys() != state.keys():
                raise ValueError(f"states must be nested alike: one has the keys {sorted(state)}, another has not")
        return {key: tree_map(function, state[key], *(other[key] for other in others)) for key in state}
    if isinstance(state, (tuple, list)):
        if others:
            parts = [tree_map(function, *parts) for parts in zip(state, *others, strict=True)]
        else:  # a search does this at every step
            parts = [function(part) if isinstance(part, Tensor) else tree_map(function, part) for part in state]
        return type(state)(*parts) if hasattr(state, "_fields") else type(state)(parts)
    raise TypeError(f"a state is a tensor, or a tuple, list or dict of states, not {type(state).__name__}")


def rows(state: State) -> int:
    """How many rows (sequences) the state holds. Raises `ValueError` where its tensors disagree or there are none."""
    sizes = {leaf.shape[0] for leaf in leaves(state)}
    if len(sizes) != 1:
        raise ValueError(f"a state's tensors must have one number of rows, not {sorted(sizes)}")
    return sizes.pop()


def select(state: State, index: Tensor) -> State:
    """The rows named by `index` (long, any order, repeats allowed), as a beam follows its hypotheses."""
    return tree_map(lambda leaf: leaf.index_select(0, index), state)


def repeat(state: State, times: int) -> State:
    """Each row `times` times, side by side: rows a, b become a, a, b, b."""
    return tree_map(lambda leaf: leaf.repeat_interleave(times, dim=0), state)


def concat(states: Sequence[State]) -> State:
    """The rows of several states one after the other."""
    if len(states) == 1:
        return states[0]
    return tree_map(lambda *leaf: torch.cat(leaf), *states)


def split(state: State, sizes: Sequence[int]) -> list[State]:
    """The inverse of `concat`: consecutive groups of rows."""
    if sum(sizes) != rows(state):
        raise ValueError(f"sizes {list(sizes)} add up to {sum(sizes)}, the state has {rows(state)} rows")
    starts = [sum(sizes[:k]) for k in range(len(sizes))]
    return [tree_map(lambda leaf, a=a, n=n: leaf[a : a + n], state) for a, n in zip(starts, sizes, strict=True)]


def reset(state: State, index: Tensor, initial: State) -> State:
    """The state with the rows named by `index` taken from `initial`, which has as many rows as `index`."""
    return tree_map(lambda leaf, new: leaf.index_copy(0, index, new.to(leaf.dtype)), state, initial)


def detach(state: State) -> State:
    """The same values, cut off from the graph that made them: where truncated back-propagation stops."""
    return tree_map(Tensor.detach, state)


def to(state: State, *args: Any, **kwargs: Any) -> State:
    """The state on another device or in another dtype, as `Tensor.to`."""
    return tree_map(lambda leaf: leaf.to(*args, **kwargs), state)


def save(state: State, path: str | Path) -> None:
    """Write a state to one safetensors file, whole or not at all. Never pickle."""
    # A clone, since safetensors refuses tensors that share memory, as the halves of an initial state often do.
    tensors = [leaf.detach().to("cpu", copy=True).contiguous() for leaf in leaves(state)]
    structure = json.dumps(nesting(state))
    metadata = {"state": structure, "sha256": _checksum(structure, tensors)}
    write_whole(path, to_bytes({str(k): leaf for k, leaf in enumerate(tensors)}, metadata=metadata))


def load(path: str | Path, device: str = "cpu") -> State:
    """Read what `save` wrote. A NamedTuple comes back as a plain tuple.

    Raises `BadData` for a file that cannot be read, is no state, or is not byte for byte what was saved.
    """
    try:
        with safe_open(str(path), framework="pt", device="cpu") as file:
            metadata = file.metadata() or {}
            tensors = [file.get_tensor(str(k)) for k in range(len(file.keys()))]
        intact = _checksum(metadata["state"], tensors) == metadata["sha256"]
        state = nested(json.loads(metadata["state"]), tensors) if intact else None
    except OSError as error:
        raise BadData(f"cannot be read: {error.strerror or error}", path) from None
    except (SafetensorError, KeyError, IndexError, ValueError, TypeError, RecursionError) as error:
        raise BadData(f"not a state saved by unrolled ({error})", path) from None
    if not intact:
        raise BadData("not the state that was saved: its checksum differs, so it was altered", path)
    return to(state, device)


def _checksum(structure: str, tensors: Sequence[Tensor]) -> str:
    digest = hashlib.sha256(structure.encode())
    for leaf in tensors:
        digest.update(f"{leaf.dtype}{tuple(leaf.shape)}".encode())
        if leaf.numel():  # torch does not view nothing as bytes
            digest.update(leaf.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def nesting(state: State) -> Any:
    """How a state is nested, as plain data; with its `leaves`, `nested` puts it together again. Raises `TypeError`
    where a dict's keys are not strings.
    """
    return _structure(state, 0)[0]


def nested(nesting: Any, leaves: Sequence[Tensor]) -> State:
    """The state of such a nesting. A NamedTuple comes back as a plain tuple."""
    if isinstance(nesting, int):
        return leaves[nesting]
    parts = [nested(part, leaves) for part in nesting["parts"]]
    if nesting["kind"] == "dict":
        return dict(zip(nesting["keys"], parts, strict=True))
    return tuple(parts) if nesting["kind"] == "tuple" else parts


def _structure(state: State, next_leaf: int) -> tuple[Any, int]:
    if isinstance(state, Tensor):
        return next_leaf, next_leaf + 1
    if isinstance(state, dict):
        kind, keys, items = "dict", list(state), list(state.values())
        if not all(isinstance(key, str) for key in keys):
            raise TypeError(f"a state can be saved where its dicts' keys are strings, not {keys}")
    else:
        kind, keys, items = "list" if isinstance(state, list) else "tuple", None, list(state)
    parts = []
    for item in items:
        part, next_leaf = _structure(item, next_leaf)
        parts.append(part)
    return {"kind": kind, "keys": keys, "parts": parts}, next_leaf
