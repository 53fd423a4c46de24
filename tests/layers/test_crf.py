"""The CRF against enumeration of all tag sequences, and the rules of BIO."""

from __future__ import annotations

import copy
import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.utils.rnn import PackedSequence, pack_sequence, unpack_sequence

from unrolled.errors import BadData, BadOption
from unrolled.layers.crf import CRF, Constraints, bio_constraints

BIO = ["O", "B-X", "I-X", "B-Y", "I-Y"]


def a_crf(tags, constraints=None, dtype=torch.double):
    crf = CRF(tags, constraints=constraints, dtype=dtype)
    for parameter in crf.parameters():
        torch.nn.init.normal_(parameter)
    return crf


def a_batch(lengths, tags, dtype=torch.double):
    return pack_sequence([torch.randn(n, tags, dtype=dtype) for n in lengths], enforce_sorted=False)


def is_allowed(y, constraints):
    if constraints is None:
        return True
    pairs = all(bool(constraints.transitions[a, b]) for a, b in itertools.pairwise(y))
    return pairs and bool(constraints.start[y[0]]) and bool(constraints.end[y[-1]])


def all_scores(crf, row, constraints=None):
    """The score of each tag sequence that is allowed."""
    found = {}
    for y in itertools.product(range(row.shape[1]), repeat=len(row)):
        if is_allowed(y, constraints):
            score = crf.start[y[0]] + crf.end[y[-1]] + sum(row[t, tag] for t, tag in enumerate(y))
            found[y] = score + sum(crf.transitions[a, b] for a, b in itertools.pairwise(y))
    return found


CASES = [(3, None, (3, 5, 1, 2)), (5, bio_constraints(BIO), (2, 4, 1))]


@pytest.mark.parametrize(("tags", "constraints", "lengths"), CASES)
def test_likelihoods_are_shares_of_all_allowed_sequences(tags, constraints, lengths):
    crf, x = a_crf(tags, constraints), a_batch(lengths, tags)
    chosen, expected = [], []
    for row in unpack_sequence(x):
        scores = all_scores(crf, row, constraints)
        y = list(scores)[int(torch.randint(len(scores), ()))]
        chosen.append(torch.tensor(y))
        expected.append(scores[y] - torch.stack(list(scores.values())).logsumexp(0))
    gold = pack_sequence(chosen, enforce_sorted=False).data
    torch.testing.assert_close(crf.log_likelihood(x, gold), torch.stack(expected))


@pytest.mark.parametrize(("tags", "constraints", "lengths"), CASES)
def test_viterbi_finds_the_best_of_all_allowed_sequences(tags, constraints, lengths):
    crf, x = a_crf(tags, constraints), a_batch(lengths, tags)
    best, score = crf.viterbi(x)
    found = unpack_sequence(x._replace(data=best))
    for row, mine, its_score in zip(unpack_sequence(x), found, score, strict=True):
        scores = all_scores(crf, row, constraints)
        y = max(scores, key=lambda y: scores[y].item())
        assert tuple(mine.tolist()) == y
        torch.testing.assert_close(its_score, scores[y].detach())


@pytest.mark.parametrize(("tags", "constraints", "lengths"), CASES)
def test_marginals_are_sums_over_all_allowed_sequences(tags, constraints, lengths):
    crf, x = a_crf(tags, constraints), a_batch(lengths, tags)
    found = crf.marginals(x)
    torch.testing.assert_close(found.sum(1), torch.ones(len(found), dtype=torch.double))
    for row, mine in zip(unpack_sequence(x), unpack_sequence(x._replace(data=found)), strict=True):
        scores = all_scores(crf, row, constraints)
        weights = torch.stack(list(scores.values())).softmax(0).detach()
        share = torch.zeros_like(row)
        for y, weight in zip(scores, weights, strict=True):
            for t, tag in enumerate(y):
                share[t, tag] += weight
        torch.testing.assert_close(mine, share)


def test_a_fresh_crf_takes_the_tags_to_be_independent():
    crf, x = CRF(4), a_batch((5, 3), 4, torch.float32)
    torch.testing.assert_close(crf.marginals(x), x.data.softmax(1))
    assert torch.equal(crf.viterbi(x)[0], x.data.argmax(1))


@pytest.mark.parametrize("constraints", [None, bio_constraints(BIO)])
def test_gradients_are_right(constraints):
    crf, x = a_crf(5, constraints), a_batch((1, 3, 2), 5)
    gold = torch.zeros(6, dtype=torch.long)
    names = list(dict(crf.named_parameters()))

    class Loss(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.crf = crf

        def forward(self, emissions):
            return self.crf.log_likelihood(x._replace(data=emissions), gold)

    def run(emissions, *parameters):
        named = {f"crf.{name}": value for name, value in zip(names, parameters, strict=True)}
        return torch.func.functional_call(Loss(), named, (emissions,))

    leaves = (x.data.requires_grad_(), *(p.detach().clone().requires_grad_() for p in crf.parameters()))
    assert torch.autograd.gradcheck(run, leaves)
    assert torch.autograd.gradgradcheck(run, leaves)


def test_forbidden_transitions_get_no_gradient():
    constraints = bio_constraints(BIO)
    crf, x = a_crf(5, constraints), a_batch((4, 6), 5)
    (-crf.log_likelihood(x, torch.zeros(10, dtype=torch.long)).sum()).backward()
    assert (crf.transitions.grad[~constraints.transitions] == 0).all()
    assert (crf.transitions.grad[constraints.transitions] != 0).all()
    assert (crf.start.grad[~constraints.start] == 0).all()


def test_batch_mates_do_not_matter():
    crf, x = a_crf(4), a_batch((3, 7, 1, 5), 4)
    gold = torch.randint(4, (16,))
    likelihood, (best, score), marginals = crf.log_likelihood(x, gold), crf.viterbi(x), crf.marginals(x)
    parts = zip(*(unpack_sequence(x._replace(data=part)) for part in (x.data, gold, best, marginals)), strict=True)
    for k, (row, tags, best_tags, shares) in enumerate(parts):
        alone = pack_sequence([row])
        torch.testing.assert_close(crf.log_likelihood(alone, tags)[0], likelihood[k])
        torch.testing.assert_close(crf.marginals(alone), shares)
        assert torch.equal(crf.viterbi(alone)[0], best_tags)
        torch.testing.assert_close(crf.viterbi(alone)[1][0], score[k])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=5), st.floats(0.1, 1000), st.integers(0, 10**6))
def test_decoded_bio_is_valid_however_wild_the_emissions(lengths, scale, seed):
    torch.manual_seed(seed)
    crf = a_crf(5, bio_constraints(BIO), torch.float32)
    x = a_batch(lengths, 5, torch.float32)
    x = x._replace(data=x.data * scale)
    best, score = crf.viterbi(x)
    assert score.isfinite().all()
    for tags in unpack_sequence(x._replace(data=best)):
        before = "O"
        for tag in (BIO[k] for k in tags.tolist()):
            assert not tag.startswith("I-") or before[2:] == tag[2:]
            before = tag
    # What has been decoded is allowed, so it has a likelihood; of one sequence, it cannot be above 1.
    assert (crf.log_likelihood(x, best) <= 1e-4).all()


def test_the_rules_of_bio():
    transitions, start, end = bio_constraints([*BIO, "NOUN", "I-", "I-Z"])
    allowed = {(a, b) for a in range(8) for b in range(8) if transitions[a, b]}
    inside = {2: {1, 2}, 4: {3, 4}, 6: {6}, 7: {7}}
    assert allowed == {(a, b) for a in range(8) for b in range(8) if b not in inside or a in inside[b]}
    assert start.tolist() == [True, True, False, True, False, True, False, False]
    assert end.all()


def test_tags_without_prefix_are_free():
    assert all(bool(part.all()) for part in bio_constraints(["NOUN", "VERB", "O", "B-X"]))


def test_constraints_that_allow_everything_change_nothing():
    free = Constraints(torch.ones(3, 3, dtype=torch.bool), *torch.ones(2, 3, dtype=torch.bool))
    crf, x = a_crf(3), a_batch((4, 2), 3)
    bound = CRF(3, constraints=free, dtype=torch.double)
    bound.load_state_dict(crf.state_dict())
    gold = torch.randint(3, (6,))
    assert torch.equal(bound.log_likelihood(x, gold), crf.log_likelihood(x, gold))
    assert torch.equal(bound.viterbi(x)[0], crf.viterbi(x)[0])


def test_one_tag_is_certain():
    crf, x = a_crf(1), a_batch((3, 1), 1)
    assert torch.equal(crf.log_likelihood(x, torch.zeros(4, dtype=torch.long)), torch.zeros(2, dtype=torch.double))
    assert (crf.marginals(x) == 1).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_comes_back_has_the_emissions_type(dtype):
    crf, x = a_crf(4, dtype=dtype), a_batch((5, 2), 4, dtype)
    assert crf.log_likelihood(x, torch.zeros(7, dtype=torch.long)).dtype == dtype
    assert crf.marginals(x).dtype == dtype
    assert crf.viterbi(x)[1].dtype == dtype


def test_a_long_row_in_float32_is_as_exact_as_float32_can_be():
    """Without transitions tags are independent, so everything is known."""
    x = pack_sequence([3 * torch.randn(100_000, 4)])
    crf = CRF(4)
    best, score = crf.viterbi(x)
    assert torch.equal(best, x.data.argmax(1))
    high = x.data.double()
    torch.testing.assert_close(score, high.amax(1).sum().float()[None], rtol=1e-6, atol=0)
    expected = (high.amax(1) - high.logsumexp(1)).sum().float()[None]
    torch.testing.assert_close(crf.log_likelihood(x, best), expected, rtol=1e-6, atol=0)


def test_copies_and_saved_states_hold_the_parameters_only():
    crf = a_crf(5, bio_constraints(BIO))
    assert list(crf.state_dict()) == ["transitions", "start", "end"]
    x = a_batch((3, 2), 5)
    assert torch.equal(copy.deepcopy(crf).viterbi(x)[0], crf.viterbi(x)[0])


FORBIDDEN = [
    ([[0, 0, 0], [0, 2]], "row 1 of the batch: tag 2 after tag 0 is forbidden by the constraints"),
    ([[1, 0, 4], [0, 0]], "row 0 of the batch: tag 4 after tag 0 is forbidden by the constraints"),
    ([[2], [0, 0]], "row 0 of the batch: tag 2 as the first is forbidden by the constraints"),
]


@pytest.mark.parametrize(("rows", "message"), FORBIDDEN)
def test_tags_that_the_constraints_forbid_are_named(rows, message):
    gold = pack_sequence([torch.tensor(row) for row in rows], enforce_sorted=False)
    x = gold._replace(data=torch.zeros(len(gold.data), 5))
    with pytest.raises(BadData, match=message):
        CRF(5, constraints=bio_constraints(BIO)).log_likelihood(x, gold.data)


def test_a_last_tag_that_is_forbidden_is_named():
    free = bio_constraints(["O", "P"])
    crf = CRF(2, constraints=free._replace(end=torch.tensor([True, False])))
    gold = pack_sequence([torch.tensor([0, 1, 0]), torch.tensor([0, 1])])
    with pytest.raises(BadData, match="row 1 of the batch: tag 1 as the last is forbidden by the constraints"):
        crf.log_likelihood(gold._replace(data=torch.zeros(5, 2)), gold.data)


def test_constraints_that_allow_nothing_are_said_so():
    nothing = Constraints(torch.zeros(2, 2, dtype=torch.bool), *torch.ones(2, 2, dtype=torch.bool))
    crf = CRF(2, constraints=nothing)
    assert crf.viterbi(PackedSequence(torch.tensor([[0.0, 1.0]]), torch.tensor([1])))[0].tolist() == [1]
    with pytest.raises(BadOption, match="the constraints allow no sequence of tags for a row of this length"):
        crf.viterbi(a_batch((2,), 2))


def test_wrong_shapes_are_refused():
    with pytest.raises(BadOption, match="a CRF needs at least one tag, not 0"):
        CRF(0)
    with pytest.raises(BadOption, match="constraints for 5 tags on a CRF of 4"):
        CRF(4, constraints=bio_constraints(BIO))
    crf, x = CRF(4), a_batch((2, 1), 3, torch.float32)
    with pytest.raises(ValueError, match=r"emissions of shape \(3, 3\) where \(elements, 4\) is due"):
        crf.viterbi(x)
    with pytest.raises(ValueError, match=r"2 emissions but tags of shape \(3,\)|3 emissions but tags of shape \(2,\)"):
        CRF(3).log_likelihood(x, torch.zeros(2, dtype=torch.long))
