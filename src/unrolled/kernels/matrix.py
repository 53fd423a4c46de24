"""Matrix products by the compiled kernels, by themselves, for loops that are put together of them.

Tensors are float32 on the CPU, rows of neighbouring floats; who calls has looked at shapes.
"""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor

from unrolled.kernels.library import Product, needed

TYPES = (torch.float32, torch.bfloat16)
"""Of packed weights."""


def panels(matrix: Tensor, half: bool, *, transposed: bool, threads: int) -> Tensor:
    """A matrix (depth, columns), or where `transposed` (columns, depth), laid out to be multiplied with."""
    library, matrix = needed(), rows(matrix)
    depth, columns = reversed(matrix.shape) if transposed else matrix.shape
    made = torch.empty(library.unrolled_matrix_size(half, depth, columns), dtype=TYPES[half])
    library.unrolled_matrix_pack(
        half, matrix.data_ptr(), matrix.stride(0), depth, columns, transposed, made.data_ptr(), threads
    )
    return made


def multiply(
    half: bool, a: Tensor, by: Tensor, c: Tensor, threads: int, add: bool = False, bias: Tensor | None = None
) -> None:
    """c = a b + bias, or c += a b. a: (rows, depth); by: b, (depth, columns), in panels; c: (rows, columns)."""
    product = Product(
        a.data_ptr(), a.stride(0), a.shape[0], a.shape[1], c.shape[1], by.data_ptr(),
        None if bias is None else bias.data_ptr(), c.data_ptr(), c.stride(0), add,
    )  # fmt: skip
    needed().unrolled_matrix_multiply(half, ctypes.byref(product), threads)


def outer(half: bool, a: Tensor, b: Tensor, c: Tensor, threads: int, sums: Tensor | None = None) -> None:
    """c = a^T b, and the sums of a's columns.

    a: (depth, rows); b: (depth, columns); c: (rows, columns); sums: (rows,).
    """
    needed().unrolled_matrix_outer(
        half, a.data_ptr(), a.stride(0), a.shape[1], len(a), b.data_ptr(), b.stride(0), b.shape[1],
        c.data_ptr(), c.stride(0), None if sums is None else sums.data_ptr(), threads,
    )  # fmt: skip


def rows(x: Tensor) -> Tensor:
    """With rows of neighbouring floats."""
    return x if x.stride(1) == 1 and x.stride(0) >= x.shape[1] else x.contiguous()
