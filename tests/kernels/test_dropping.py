"""Elements dropped by a key: the published generator's words, in every instruction set, whatever the threads."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from unrolled.kernels import dropping, library

pytestmark = pytest.mark.skipif(library.load() is None, reason="there are no compiled kernels")


def philox(counter, key):
    """Philox 4x32-10 as Salmon et al. 2011 write it, in whole numbers."""
    (a, b, c, d), (low, high) = counter, key
    for _ in range(10):
        one, other = 0xD2511F53 * a, 0xCD9E8D57 * c
        a, b, c, d = (other >> 32) ^ b ^ low, other % 2**32, (one >> 32) ^ d ^ high, one % 2**32
        low, high = (low + 0x9E3779B9) % 2**32, (high + 0xBB67AE85) % 2**32
    return a, b, c, d


def words(count, key):
    """The word of each element."""
    found = []
    for k in range(count):
        counter = k // 64 * 16 + k % 16 // 2 + k % 2 * 8
        found.append(philox((counter % 2**32, counter >> 32, 0, 0), (key % 2**32, key >> 32))[k // 16 % 4])
    return np.array(found)


def test_the_reference_gives_the_words_that_its_authors_publish():
    assert philox((0,) * 4, (0,) * 2) == (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)
    ones = 2**32 - 1
    assert philox((ones,) * 4, (ones,) * 2) == (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)


@pytest.mark.parametrize("count", [0, 1, 3, 15, 16, 17, 63, 64, 65, 500])
@pytest.mark.parametrize("key", [0, 12345, 2**64 - 1])
def test_an_element_goes_where_its_word_is_below_the_probability(isa, count, key):
    x = torch.randn(count)
    kept = torch.from_numpy(words(count, key) >= round(0.3 * 2**32)) if count else torch.ones(0, dtype=torch.bool)
    torch.testing.assert_close(dropping.drop(x, 0.3, key), x * kept / 0.7)


def test_neither_threads_nor_shape_nor_strides_change_it():
    x = torch.randn(300, 401)
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append(dropping.drop(x, 0.4, 99))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])
    assert torch.equal(found[0], dropping.drop(x.reshape(-1), 0.4, 99).reshape(300, 401))
    assert torch.equal(found[0], dropping.drop(x.T.contiguous().T, 0.4, 99))


def test_elements_go_with_the_probability_and_without_regard_to_their_neighbours():
    gone = dropping.drop(torch.ones(2**20), 0.2, 5) == 0
    another = dropping.drop(torch.ones(2**20), 0.2, 6) == 0
    for some in (gone, gone[::2], gone[1::2], gone.reshape(-1, 64)[:, 7], another):
        share, error = float(some.double().mean()), (0.2 * 0.8 / some.numel()) ** 0.5
        assert abs(share - 0.2) < 4 * error
    for step in (1, 2, 8, 16, 64):
        both = float((gone[step:] & gone[:-step]).double().mean())
        assert abs(both - 0.04) < 4 * (0.04 * 0.96 / 2**20) ** 0.5
    both = float((gone & another).double().mean())
    assert abs(both - 0.04) < 4 * (0.04 * 0.96 / 2**20) ** 0.5


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"float32 on the CPU, not torch\.float64 on cpu"):
        dropping.drop(torch.ones(3).double(), 0.5, 1)
    for p, key in ((1.0, 1), (-0.1, 1), (float("nan"), 1), (0.5, -1), (0.5, 2**64)):
        with pytest.raises(ValueError, match="wanted are 0 <= p < 1, 0 <= key < 2\\^64"):
            dropping.drop(torch.ones(3), p, key)
