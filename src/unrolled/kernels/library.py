"""The compiled library: found, loaded, its functions' types said, its instruction set chosen.

`UNROLLED_KERNELS` in the environment chooses: the name of an instruction set (`avx2`, `portable`), or `none`.
"""

from __future__ import annotations

import ctypes
import os
from ctypes import POINTER, Structure, c_char_p, c_double, c_float, c_int64, c_uint32, c_uint64, c_void_p
from functools import cache
from pathlib import Path

import torch

from unrolled.errors import BadOption
from unrolled.kernels import attention_types
from unrolled.kernels.build import LIBRARY

VARIABLE = "UNROLLED_KERNELS"


_SIZES = {
    *("steps", "batch", "hidden", "output", "input", "reverse", "given", "keep"),
    *(
        "x_stride",
        "ih_stride",
        "hh_stride",
        "hr_stride",
        "gates_stride",
        "h_stride",
        "dh_stride",
        "dx_stride",
        "dih_stride",
    ),
}
_FIELDS = """
    steps batch hidden output input reverse sizes starts x x_stride ih ih_stride hh hh_stride hr hr_stride
    bias_ih bias_hh vectors packed gates gates_stride cells middle h0 c0 h h_stride c last given keep
    dh dh_stride dgates dtotal dh_carry dc_carry dx dx_stride dih dih_stride dhh dhr dbias dvectors weights second added
"""


class Layer(Structure):
    """`csrc/layer.h`: one direction of one layer."""

    _fields_ = [(name, c_int64 if name in _SIZES else c_void_p) for name in _FIELDS.split()]


class Tick(Structure):
    """`csrc/layer.h`: what does not change between the ticks of a stream."""

    _fields_ = [("cell", c_int64), ("half", c_int64), ("threads", c_int64), ("layer", POINTER(Layer))]


class Product(Structure):
    """`csrc/gemm_types.h`: c = a b + bias, or c += a b."""

    _fields_ = [
        ("a", c_void_p),
        ("a_stride", c_int64),
        ("rows", c_int64),
        ("depth", c_int64),
        ("columns", c_int64),
        ("b", c_void_p),
        ("bias", c_void_p),
        ("c", c_void_p),
        ("c_stride", c_int64),
        ("add", c_int64),
    ]


class Linear(Structure):
    """`csrc/linear_types.h`: one direction of an element-wise linear recurrence."""

    _fields_ = [
        ("steps", c_int64),
        ("batch", c_int64),
        ("hidden", c_int64),
        ("reverse", c_int64),
        ("sizes", c_void_p),
        ("starts", c_void_p),
        ("a", c_void_p),
        ("a_stride", c_int64),
        ("b", c_void_p),
        ("b_stride", c_int64),
        ("h0", c_void_p),
        ("h", c_void_p),
        ("h_stride", c_int64),
        ("last", c_void_p),
        ("dh", c_void_p),
        ("dh_stride", c_int64),
        ("da", c_void_p),
        ("db", c_void_p),
        ("dh_carry", c_void_p),
    ]


class Softmax(Structure):
    """`csrc/softmax_types.h`: the loss of a softmax over a vocabulary, and its gradients."""

    _fields_ = [
        ("x", c_void_p),
        ("x_stride", c_int64),
        ("rows", c_int64),
        ("hidden", c_int64),
        ("words", c_int64),
        ("weight", c_void_p),
        ("weight_stride", c_int64),
        ("bias", c_void_p),
        ("targets", c_void_p),
        ("factors", c_void_p),
        ("smoothing", c_double),
        ("losses", c_void_p),
        ("dx", c_void_p),
        ("dweight", c_void_p),
        ("dbias", c_void_p),
        ("chunk", c_int64),
        ("room", c_void_p),
    ]


class Leading(Structure):
    """`csrc/leading_types.h`: the likeliest words of rows of logits."""

    _fields_ = [
        ("logits", c_void_p),
        ("rows", c_int64),
        ("words", c_int64),
        ("stride", c_int64),
        ("barred", c_void_p),
        ("count", c_int64),
        ("best", c_void_p),
        ("places", c_void_p),
        ("norms", c_void_p),
    ]


class Dropping(Structure):
    """`csrc/dropping_types.h`: what is dropped at random."""

    _fields_ = [
        ("source", c_void_p),
        ("target", c_void_p),
        ("count", c_int64),
        ("key", c_uint64),
        ("below", c_uint32),
        ("scale", c_float),
    ]


class Picking(Structure):
    """`csrc/picking_types.h`: what a step of a beam search picks from."""

    _fields_ = [
        ("sources", c_int64),
        ("width", c_int64),
        ("end", c_int64),
        ("starts", c_void_p),
        ("count", c_int64),
        ("best", c_void_p),
        ("tokens", c_void_p),
        ("log_p", c_void_p),
        ("room", c_void_p),
        ("picked_rows", c_void_p),
        ("picked_tokens", c_void_p),
        ("picked_log_p", c_void_p),
        ("next_rows", c_void_p),
        ("next_tokens", c_void_p),
        ("next_log_p", c_void_p),
    ]


_FUNCTIONS = {
    "unrolled_isa": (c_char_p, []),
    "unrolled_use": (c_int64, [c_char_p]),
    "unrolled_threads": (None, [c_void_p] * 3),
    "unrolled_spin": (c_int64, [c_int64, c_int64]),
    "unrolled_try": (c_int64, [c_int64] * 5),
    "unrolled_adds_up": (c_int64, [c_void_p, c_void_p, c_int64, c_int64]),
    "unrolled_packed_size": (c_int64, [c_int64] * 6),
    "unrolled_pack": (None, [c_int64, c_int64, POINTER(Layer), c_int64]),
    "unrolled_forward": (None, [c_int64, c_int64, POINTER(Layer), c_int64, c_int64]),
    "unrolled_backward": (None, [c_int64, c_int64, POINTER(Layer), c_int64, c_int64]),
    "unrolled_before": (None, [c_int64, c_int64, POINTER(Layer), c_int64, c_int64]),
    "unrolled_after": (None, [c_int64, c_int64, POINTER(Layer), c_int64]),
    "unrolled_last": (None, [POINTER(Layer)]),
    "unrolled_matrix_size": (c_int64, [c_int64] * 3),
    "unrolled_matrix_pack": (None, [c_int64, c_void_p, *[c_int64] * 4, c_void_p, c_int64]),
    "unrolled_matrix_multiply": (None, [c_int64, POINTER(Product), c_int64]),
    "unrolled_matrix_outer": (
        None,
        [c_int64, c_void_p, *[c_int64] * 3, c_void_p, c_int64, c_int64, c_void_p, c_int64, c_void_p, c_int64],
    ),
    "unrolled_step": (None, [c_int64, c_int64, c_void_p, c_void_p, c_int64]),
    "unrolled_tick": (None, [c_void_p, c_void_p]),
    "unrolled_linear_forward": (None, [POINTER(Linear), c_int64, c_int64]),
    "unrolled_linear_backward": (None, [POINTER(Linear), c_int64, c_int64]),
    "unrolled_softmax_room": (c_int64, [c_int64, POINTER(Softmax), c_int64]),
    "unrolled_softmax": (None, [c_int64, POINTER(Softmax), c_int64]),
    "unrolled_leading": (None, [POINTER(Leading), c_int64]),
    "unrolled_drop": (None, [POINTER(Dropping), c_int64]),
    "unrolled_pick": (c_int64, [c_void_p]),
    "unrolled_pick_of": (c_int64, [c_void_p, c_void_p, c_int64]),
    "unrolled_run": (c_int64, [c_void_p, c_int64]),
    **attention_types.FUNCTIONS,
}


@cache
def load() -> ctypes.CDLL | None:
    """The library, or None: it was not built, it is of another machine, or the environment says `none`.

    Raises `BadOption` where the environment asks for an instruction set that is not there.
    """
    wanted = os.environ.get(VARIABLE, "")
    if wanted == "none":
        return None
    library = _open(LIBRARY)
    if library is not None:
        library.unrolled_threads(*_torchs_threads())
    if library is not None and wanted and not library.unrolled_use(wanted.encode()):
        raise BadOption(f"{VARIABLE}={wanted}: this machine has no such instruction set, or the kernels are not for it")
    return library


def needed() -> ctypes.CDLL:
    """The library, where something is to be run by it. Raises `RuntimeError` where there is none."""
    library = load()
    if library is None:
        raise RuntimeError("there are no compiled kernels: ask `supports` first")
    return library


def _open(path: Path) -> ctypes.CDLL | None:
    try:
        library = ctypes.CDLL(str(path))
    except OSError:
        return None
    for name, (gives, takes) in _FUNCTIONS.items():
        function = getattr(library, name)
        function.restype, function.argtypes = gives, takes
    return library


def _torchs_threads() -> tuple[int | None, ...]:
    """Where torch's OpenMP library has the functions that share its threads; nothing where torch has no such library.

    With threads of our own beside them two groups would keep each other from the processors: torch's stay awake for a
    while after each of their parts.
    """
    for path in [*sorted((Path(torch.__file__).parent / "lib").glob("libgomp*")), None]:
        try:
            found = ctypes.CDLL(None if path is None else str(path), mode=getattr(os, "RTLD_NOLOAD", 0) | os.RTLD_NOW)
            names = ("GOMP_parallel", "omp_get_thread_num", "omp_get_num_threads")
            return tuple(ctypes.cast(getattr(found, name), c_void_p).value for name in names)
        except (OSError, AttributeError, TypeError):
            continue
    return None, None, None


def halves_are_quicker() -> bool:
    """Whether the kernels that run multiply bfloat16 faster than float32: those with instructions for it."""
    library = load()
    return library is not None and library.unrolled_isa().decode() in ("amx", "avx512bf16")


def why() -> str:
    """Which kernels run, and why, for people."""
    library = load()
    if library is not None:
        chosen = f"{VARIABLE} asks for them" if os.environ.get(VARIABLE) else "the best that this machine can run"
        return f"{library.unrolled_isa().decode()} ({chosen})"
    if os.environ.get(VARIABLE) == "none":
        return f"none ({VARIABLE}=none)"
    if LIBRARY.exists():
        return "none (the library that is there is not for this machine: python -m unrolled.kernels.build)"
    return "none (they were not built: python -m unrolled.kernels.build needs a C++17 compiler)"
