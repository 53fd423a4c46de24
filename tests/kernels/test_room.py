"""Room for weights that stay."""

from __future__ import annotations

import gc
import mmap

import pytest
import torch

from unrolled.kernels.room import LARGE, lasting


@pytest.mark.parametrize("size", [0, 1, LARGE // 2 - 1, LARGE // 2, LARGE, LARGE + 1, 5 * LARGE // 2])
def test_there_are_so_many_bytes_which_can_be_written(size):
    room = lasting(size)
    assert (room.shape, room.dtype, room.is_contiguous()) == ((size,), torch.uint8, True)
    room.fill_(7)
    view = room[size // 2 :]
    del room
    gc.collect()
    assert (view == 7).all()  # they live as long as any part of them is used


@pytest.mark.skipif(not hasattr(mmap, "MADV_HUGEPAGE"), reason="this system has no large pages")
def test_large_room_begins_with_a_large_page():
    assert lasting(LARGE).data_ptr() % LARGE == 0


def test_a_system_that_refuses_large_pages_gives_small_ones(monkeypatch):
    class Refuses(mmap.mmap):
        def madvise(self, *given):
            raise OSError

    monkeypatch.setattr(mmap, "mmap", Refuses)
    lasting(LARGE).fill_(1)
