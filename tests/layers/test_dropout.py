"""What is dropped together is dropped together, the expectation is kept, and evaluation changes nothing."""

from __future__ import annotations

import pytest
import torch
from torch.nn.utils.rnn import pack_sequence

from unrolled.errors import BadOption
from unrolled.layers.dropout import FEW, EmbeddingDropout, LockedDropout, WordDropout, dropped
from unrolled.layers.packed import rows


def ones(*lengths, features=50):
    return pack_sequence([torch.ones(n, features) for n in lengths], enforce_sorted=False)


@pytest.mark.parametrize("shape", [(3, 5), (70, 80)], ids=["few", "many"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_elements_are_dropped_one_by_one_and_gradients_pass_where_they_are_kept(shape, dtype):
    x = torch.ones(shape, dtype=dtype, requires_grad=True)
    torch.manual_seed(3)
    y = dropped(x, 0.2)
    torch.manual_seed(3)
    assert torch.equal(dropped(x, 0.2), y)
    assert not torch.equal(dropped(x, 0.2), y)
    torch.testing.assert_close(y.unique(), torch.tensor([0.0, 1.25], dtype=dtype))
    (gradient,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
    torch.testing.assert_close(gradient, 2 * 1.25 * y)
    (second,) = torch.autograd.grad(gradient.sum(), x)
    torch.testing.assert_close(second, 2 * 1.25 * y)
    assert torch.equal(dropped(x, 0.0), x)


def test_a_draw_can_be_made_under_torchs_transforms():
    x = torch.ones(2, FEW)
    rows = torch.func.vmap(lambda row: dropped(row, 0.5), randomness="different")(x)
    assert not torch.equal(rows[0], rows[1])
    torch.manual_seed(1)
    _, slope = torch.func.jvp(lambda x: dropped(x, 0.5), (x,), (x,))
    assert set(slope.unique().tolist()) == {0.0, 2.0}


def test_a_row_has_one_mask_for_all_its_time_steps():
    x = ones(3, 7, 5)
    y = LockedDropout(0.5)(x)
    row = rows(x.batch_sizes)
    for b in range(3):
        mine = y.data[row == b]
        assert (mine == mine[0]).all()
        assert set(mine.unique().tolist()) == {0.0, 2.0}


def test_rows_have_masks_of_their_own():
    y = LockedDropout(0.5)(ones(4, 4)).data
    assert not torch.equal(y[0], y[1])


def test_two_calls_draw_twice():
    dropout, x = LockedDropout(0.5), ones(2)
    assert not torch.equal(dropout(x).data, dropout(x).data)


def test_the_expectation_is_the_input():
    y = LockedDropout(0.3)(ones(*[1] * 400, features=100)).data
    # 40,000 draws: the mean's standard error is sqrt(0.3 / 0.7 / 40000) = 0.0033.
    assert abs(float(y.mean()) - 1) < 0.02
    assert abs(float((y == 0).float().mean()) - 0.3) < 0.02


@pytest.mark.parametrize("dropout", [LockedDropout(0.5).eval(), LockedDropout(0.0)])
def test_evaluation_and_p_of_0_change_nothing(dropout):
    x = ones(3, 2)
    assert dropout(x) is x


def test_the_order_of_rows_travels_along():
    x = ones(1, 3)
    y = LockedDropout(0.5)(x)
    assert torch.equal(y.unsorted_indices, x.unsorted_indices)
    assert torch.equal(y.batch_sizes, x.batch_sizes)


def test_the_gradient_is_the_mask():
    x = ones(2, 3)
    x = x._replace(data=x.data.requires_grad_())
    y = LockedDropout(0.5)(x)
    y.data.sum().backward()
    assert torch.equal(x.data.grad, y.data)


def test_all_tokens_of_a_word_type_share_one_draw():
    ids = torch.arange(100).repeat(3)
    y = EmbeddingDropout(0.5)(torch.ones(300, 4), ids).view(3, 100, 4)
    assert (y == y[0, :, :1]).all()
    assert set(y.unique().tolist()) == {0.0, 2.0}


def test_embedding_dropout_is_dropping_rows_of_the_matrix():
    weight, ids = torch.randn(9, 4), torch.randint(9, (30,))
    torch.manual_seed(5)
    y = EmbeddingDropout(0.4)(weight[ids], ids)
    torch.manual_seed(5)
    kept = torch.empty(int(ids.max()) + 1).bernoulli_(0.6)
    torch.testing.assert_close(y, (weight[: len(kept)] * kept[:, None] / 0.6)[ids])


def test_embedding_dropout_does_nothing_in_evaluation_or_without_words():
    vectors, ids = torch.ones(3, 2), torch.tensor([0, 1, 2])
    assert EmbeddingDropout(0.5).eval()(vectors, ids) is vectors
    assert EmbeddingDropout(0.5)(vectors[:0], ids[:0]).shape == (0, 2)


def test_word_dropout_replaces_tokens_one_by_one():
    ids = torch.full((10_000,), 7)
    replaced = WordDropout(0.2, unknown=3)(ids)
    assert set(replaced.tolist()) == {3, 7}
    # The standard error of the share is 0.004.
    assert abs(float((replaced == 3).float().mean()) - 0.2) < 0.03
    assert (ids == 7).all()


def test_word_dropout_does_nothing_in_evaluation():
    ids = torch.tensor([1, 2])
    assert WordDropout(0.9, unknown=0).eval()(ids) is ids


@pytest.mark.parametrize("make", [LockedDropout, EmbeddingDropout, lambda p: WordDropout(p, 0)])
@pytest.mark.parametrize("p", [-0.1, 1.0, 2.0])
def test_a_rate_outside_of_0_to_1_is_refused(make, p):
    with pytest.raises(BadOption, match=rf"a dropout probability must be at least 0 and below 1, not {p}"):
        make(p)


def test_the_mask_for_a_loop_is_that_of_a_packed_batch():
    one, x = LockedDropout(0.4), pack_sequence([torch.randn(4, 50), torch.randn(2, 50)])
    torch.manual_seed(3)
    whole = one(x).data
    torch.manual_seed(3)
    mask = one.mask(x.data[:2])
    assert torch.equal(whole, x.data * mask[rows(x.batch_sizes)])
    assert LockedDropout(0.0).mask(x.data[:2]) is None
    assert one.eval().mask(x.data[:2]) is None
