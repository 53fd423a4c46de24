"""Attention alone, by the compiled kernels: queries that wait for nothing, all at once, forwards and back.

A row's queries are gone through one after the other, so that its keys stay in the nearest cache. As in `attention.py`,
everything that the compiled code takes on trust is looked at here.
"""

from __future__ import annotations

import ctypes
from typing import NamedTuple

import torch
from torch import Tensor

from unrolled.kernels import attention, recurrence
from unrolled.kernels.attention import Batch, Memory
from unrolled.kernels.attention_types import Attention
from unrolled.kernels.library import Layer, load, needed


class Given(NamedTuple):
    """queries: (elements, units), packed; memory: rows in packed order; keys: (places, units); value: (units,).

    Between the rows' places there may be others, which belong to none.
    """

    queries: Batch
    memory: Memory
    keys: Tensor
    value: Tensor


class Made(NamedTuple):
    """contexts: (elements, features); weights: (elements, longest), zeros beyond a row's length."""

    contexts: Tensor
    weights: Tensor


class Gradients(NamedTuple):
    """Of what went in."""

    queries: Tensor
    places: Tensor
    keys: Tensor
    value: Tensor


def supports(queries: Tensor, places: Tensor, keys: Tensor, value: Tensor) -> bool:
    """Whether the kernels can run these: they are there, all is float32 on the CPU, the last axes fit each other."""
    given = (queries, places, keys, value)
    plain = all(t.dtype is torch.float32 and t.is_cpu for t in given)
    fit = queries.dim() == 2 and value.dim() == 1 and queries.shape[1] == keys.shape[-1] == value.shape[0]
    return plain and fit and load() is not None


def forward(given: Given) -> Made:
    """Additive scores v . tanh(key + query), their softmax over a row's places, and the contexts.

    Raises `ValueError` where something does not fit.
    """
    given = _looked_at(given)
    queries, memory = given.queries.x, given.memory
    made = Made(
        queries.new_empty(queries.shape[0], memory.places.shape[1]),
        queries.new_empty(queries.shape[0], memory.longest),
    )
    layer, looks = _structures(given, made)
    needed().unrolled_look(ctypes.byref(layer), ctypes.byref(looks), _threads(given))
    return made


def backward(given: Given, made: Made, came: Made) -> Gradients:
    """The gradients of `forward`. made: what it gave; came: the gradients of that."""
    given = _looked_at(given)
    dcontexts, dweights = (attention._like(came_, made_) for came_, made_ in zip(came, made, strict=True))
    found = Gradients(*(torch.zeros_like(t) for t in (given.queries.x, given.memory.places, given.keys, given.value)))
    layer, looks = _structures(given, made)
    looks.dcontexts, looks.dweights = dcontexts.data_ptr(), dweights.data_ptr()
    looks.dqueries, looks.dmemory, looks.dkeys, looks.dvalue = (t.data_ptr() for t in found)
    needed().unrolled_look_back(ctypes.byref(layer), ctypes.byref(looks), _threads(given))
    return found


def _structures(given: Given, made: Made) -> tuple[Layer, Attention]:
    queries, memory = given.queries, given.memory
    layer = Layer(
        steps=len(queries.sizes), batch=int(queries.sizes[0]), sizes=queries.sizes.data_ptr(),
        starts=queries.starts.data_ptr(),
    )  # fmt: skip
    looks = Attention(
        units=given.keys.shape[1], features=memory.places.shape[1], source=memory.longest,
        first=memory.first.data_ptr(), lengths=memory.lengths.data_ptr(), memory=memory.places.data_ptr(),
        keys=given.keys.data_ptr(), value=given.value.data_ptr(), queries=queries.x.data_ptr(),
        weights=made.weights.data_ptr(), contexts=made.contexts.data_ptr(),
    )  # fmt: skip
    return layer, looks


def _threads(given: Given) -> int:
    return recurrence._threads(given.queries.x.numel() * given.memory.longest)


def _looked_at(given: Given) -> Given:
    """The same, with rows of neighbouring floats."""
    queries, memory, keys, value = given
    if not supports(queries.x, memory.places, keys, value):
        shapes = [tuple(t.shape) for t in (queries.x, memory.places, keys, value)]
        raise ValueError(f"these are no queries, places, keys and value in float32 on the CPU: {shapes}")
    queries, memory = attention._checked(queries, memory, gaps=True)
    if keys.shape != (len(memory.places), keys.shape[-1]):
        raise ValueError(f"keys must be as many as places, {len(memory.places)}, not {tuple(keys.shape)}")
    return Given(queries._replace(x=queries.x.contiguous()), memory, keys.contiguous(), value.contiguous())
