"""log Z by enumeration, by the plain recursion and by the fast one: values, gradients, second derivatives, extremes."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch.nn.utils.rnn import pack_sequence

from unrolled.layers import partition
from unrolled.layers.partition import Scores, log_partition, log_partition_reference, marginals

INF = float("inf")


def problem(lengths, tags, forbidden=0.0, scale=1.0):
    """Packed emissions and scores; a share of the transitions is forbidden, the way from a tag to itself never."""
    x = pack_sequence([scale * torch.randn(n, tags, dtype=torch.double) for n in lengths])
    transitions = scale * torch.randn(tags, tags, dtype=torch.double)
    out = torch.rand(tags, tags) < forbidden
    transitions = transitions.masked_fill(out & ~torch.eye(tags, dtype=torch.bool), -INF)
    return x, Scores(transitions, *torch.randn(2, tags, dtype=torch.double).mul(scale).unbind())


def enumerate_rows(x, scores):
    """For each row: the score of every tag sequence, {tags: score}."""
    for row in torch.nn.utils.rnn.unpack_sequence(x):
        found = {}
        for y in itertools.product(range(row.shape[1]), repeat=len(row)):
            score = scores.start[y[0]] + scores.end[y[-1]] + sum(row[t, tag] for t, tag in enumerate(y))
            found[y] = score + sum(scores.transitions[a, b] for a, b in itertools.pairwise(y))
        yield found


@pytest.mark.parametrize("forbidden", [0.0, 0.6])
@pytest.mark.parametrize("function", [log_partition, log_partition_reference])
def test_log_z_adds_up_all_sequences(function, forbidden):
    x, scores = problem((5, 3, 3, 1), 3, forbidden)
    expected = torch.stack([torch.stack(list(all_.values())).logsumexp(0) for all_ in enumerate_rows(x, scores)])
    torch.testing.assert_close(function(x.data, scores, x.batch_sizes), expected)


@pytest.mark.parametrize("forbidden", [0.0, 0.6])
def test_marginals_add_up_the_sequences_that_pass(forbidden):
    x, scores = problem((4, 2, 1), 3, forbidden)
    expected = []
    for all_, row in zip(enumerate_rows(x, scores), torch.nn.utils.rnn.unpack_sequence(x), strict=True):
        share = torch.zeros_like(row)
        weights = torch.stack(list(all_.values())).softmax(0)
        for y, weight in zip(all_, weights, strict=True):
            for t, tag in enumerate(y):
                share[t, tag] += weight
        expected.append(share)
    torch.testing.assert_close(marginals(x.data, scores, x.batch_sizes), pack_sequence(expected).data)


def gradients(function, x, scores, weight):
    leaves = [leaf.clone().requires_grad_() for leaf in (x.data, *scores)]
    total = function(leaves[0], Scores(*leaves[1:]), x.batch_sizes)
    return total.detach(), torch.autograd.grad((total * weight).sum(), leaves, materialize_grads=True)


@pytest.mark.parametrize("forbidden", [0.0, 0.7])
@pytest.mark.parametrize("lengths", [(1,), (7,), (4, 4, 4), (30, 17, 17, 2, 1)])
def test_the_fast_way_agrees_with_the_reference(lengths, forbidden):
    x, scores = problem(lengths, 5, forbidden, scale=3.0)
    assert partition._forward(x.data, scores, x.batch_sizes) is not None
    weight = torch.randn(len(lengths), dtype=torch.double)
    value, found = gradients(log_partition, x, scores, weight)
    reference, expected = gradients(log_partition_reference, x, scores, weight)
    torch.testing.assert_close(value, reference, rtol=1e-12, atol=1e-12)
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("function", [log_partition, log_partition_reference])
def test_first_and_second_derivatives_are_right(function):
    x, scores = problem((3, 2, 1), 3)

    def run(emissions, *scores):
        return function(emissions, Scores(*scores), x.batch_sizes)

    leaves = tuple(leaf.requires_grad_() for leaf in (x.data, *scores))
    assert torch.autograd.gradcheck(run, leaves)
    assert torch.autograd.gradgradcheck(run, leaves)


def test_derivatives_are_right_beside_forbidden_scores():
    x, scores = problem((3, 2), 3, 0.6)
    out = scores.transitions == -INF
    assert out.any()

    def run(emissions, transitions):
        masked = transitions.masked_fill(out, -INF)
        return log_partition(emissions, Scores(masked, scores.start, scores.end), x.batch_sizes)

    free = torch.randn(3, 3, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(run, (x.data.requires_grad_(), free))
    assert torch.autograd.gradgradcheck(run, (x.data, free))


def far_apart():
    """Only a tag 900 below the best leads on to where the next element's score is: exp(-900) is 0 in float64."""
    e = torch.tensor([[0.0, -900.0, 0.0], [0.0, 0.0, 2000.0]], dtype=torch.double)
    transitions = torch.tensor([[0.0, -INF, -INF], [0.0, 0.0, 1.0], [0.0, -INF, -INF]], dtype=torch.double)
    return pack_sequence([e]), Scores(transitions, *torch.zeros(2, 3, dtype=torch.double))


def test_scores_too_far_apart_for_products_are_noticed():
    x, scores = far_apart()
    assert partition._forward(x.data, scores, x.batch_sizes) is None
    value, found = gradients(log_partition, x, scores, torch.ones(1))
    reference, expected = gradients(log_partition_reference, x, scores, torch.ones(1))
    # By hand: the one sequence that counts is (1, 2), with -900 + 1 + 2000.
    assert value.tolist() == reference.tolist() == [1101.0]
    assert found[0].tolist() == [[0, 1, 0], [0, 0, 1]]
    for mine, theirs in zip(found, expected, strict=True):
        assert torch.equal(mine, theirs)
    assert marginals(x.data, scores, x.batch_sizes).tolist() == [[0, 1, 0], [0, 0, 1]]


def test_a_probability_that_vanished_on_the_way_is_noticed():
    """The sequence (1, 2, 2) begins 900 below (0, 0, 0) and ends 300 above it."""
    x = pack_sequence([torch.tensor([[0, -900, 0], [0, 0, 600], [0, 0, 600]], dtype=torch.double)])
    transitions = torch.tensor([[0.0, -INF, -INF], [-INF, -INF, 0.0], [-INF, -INF, 0.0]], dtype=torch.double)
    scores = Scores(transitions, torch.tensor([0.0, 0.0, -INF]).double(), torch.zeros(3).double())
    assert log_partition(x.data, scores, x.batch_sizes).tolist() == [300.0]
    assert marginals(x.data, scores, x.batch_sizes).argmax(1).tolist() == [1, 2, 2]


@pytest.mark.parametrize("place", ["emissions", "transitions", "start", "end"])
@pytest.mark.parametrize("scale", [100.0, 500.0, 3000.0])
def test_large_scores_anywhere_agree_with_the_reference(place, scale):
    x, scores = problem((6, 3), 4, 0.4)
    leaves = {"emissions": x.data, **scores._asdict()}
    leaves[place].mul_(scale)
    value, found = gradients(log_partition, x, scores, torch.ones(2))
    reference, expected = gradients(log_partition_reference, x, scores, torch.ones(2))
    torch.testing.assert_close(value, reference)
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-6, atol=1e-9)


def test_a_tag_that_nothing_leads_to_does_not_grow_without_bounds():
    """Tag 1 cannot be reached, yet once there each step would be exp(300) better than all others."""
    x = pack_sequence([torch.tensor([[0.0, 300.0]] * 9, dtype=torch.double)])
    transitions = torch.tensor([[0.0, -INF], [-INF, 0.0]], dtype=torch.double)
    scores = Scores(transitions, torch.tensor([0.0, -INF]).double(), torch.zeros(2).double())
    value, found = gradients(log_partition, x, scores, torch.ones(1))
    assert value.tolist() == [0.0]
    assert found[0].tolist() == [[1.0, 0.0]] * 9


def test_where_nothing_is_allowed_z_is_0_and_other_rows_do_not_mind():
    transitions = torch.tensor([[-INF, 0.0], [-INF, -INF]], dtype=torch.double)
    scores = Scores(transitions, *torch.zeros(2, 2, dtype=torch.double))
    x = pack_sequence([torch.zeros(3, 2, dtype=torch.double), torch.zeros(2, 2, dtype=torch.double)])
    value, found = gradients(log_partition, x, scores, torch.tensor([0.0, 1.0]))
    assert value.tolist() == [-INF, 0.0]
    assert all(bool(gradient.isfinite().all()) for gradient in found)


def test_rows_do_not_see_each_other():
    x, scores = problem((9, 6, 2), 4)
    alone = [
        log_partition(row, scores, torch.ones(len(row), dtype=torch.long))[0]
        for row in torch.nn.utils.rnn.unpack_sequence(x)
    ]
    torch.testing.assert_close(log_partition(x.data, scores, x.batch_sizes), torch.stack(alone), rtol=1e-13, atol=0)


def test_a_hundred_thousand_elements_neither_overflow_nor_lose_precision():
    """Without transitions Z is a product: log Z is the sum of each element's own."""
    e = 5 * torch.randn(100_000, 3)
    e.requires_grad_()
    value = log_partition(
        e, Scores(torch.zeros(3, 3), torch.zeros(3), torch.zeros(3)), torch.ones(100_000, dtype=torch.long)
    )
    torch.testing.assert_close(value, e.detach().double().logsumexp(1).sum()[None], rtol=1e-12, atol=0)
    value.sum().backward()
    torch.testing.assert_close(e.grad, e.detach().softmax(1), rtol=1e-5, atol=1e-6)
