"""The compiled decoders that attend, as ctypes sees them."""

from __future__ import annotations

from ctypes import POINTER, Structure, c_int64, c_void_p
from typing import Any


class Attention(Structure):
    """`csrc/attention_types.h`: the attention beside the layer."""

    _fields_ = [
        ("units", c_int64),
        ("features", c_int64),
        ("source", c_int64),
        ("first", c_void_p),
        ("lengths", c_void_p),
        ("memory", c_void_p),
        ("keys", c_void_p),
        ("value", c_void_p),
        ("query", c_void_p),
        ("bias", c_void_p),
        ("blocks", c_int64),
        ("at", c_int64 * 2),
        ("columns", c_int64 * 2),
        ("context", c_void_p * 2),
        ("queries", c_void_p),
        ("weights", c_void_p),
        ("contexts", c_void_p),
        ("dweights", c_void_p),
        ("dcontexts", c_void_p),
        ("dh", c_void_p),
        ("dqueries", c_void_p),
        ("dkeys", c_void_p),
        ("dmemory", c_void_p),
        ("dvalue", c_void_p),
    ]


class Feeding(Structure):
    """`csrc/attention_types.h`: what is shown at each step, and read at the next."""

    _fields_ = [
        ("attention", POINTER(Attention)),
        ("shown", c_int64),
        ("of_state", c_void_p),
        ("of_context", c_void_p),
        ("first", c_void_p),
        ("shows", c_void_p),
        ("dshows", c_void_p),
        ("dfirst", c_void_p),
    ]


# Layer, attention and feeding are given by reference.
FUNCTIONS: dict[str, tuple[Any, list[Any]]] = dict.fromkeys(
    ("unrolled_attend", "unrolled_attend_back", "unrolled_feed", "unrolled_feed_back"),
    (None, [c_int64, c_int64, c_void_p, c_void_p, c_int64]),
) | dict.fromkeys(("unrolled_look", "unrolled_look_back"), (None, [c_void_p, c_void_p, c_int64]))
