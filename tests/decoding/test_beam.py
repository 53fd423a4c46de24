"""Beam search against all sequences there are, and against a slow one that never stops early."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unrolled.decoding import step as steps
from unrolled.decoding.beam import beam
from unrolled.decoding.constraints import Constraints
from unrolled.decoding.greedy import greedy
from unrolled.errors import BadOption, NotFinite, UnknownName

DIVISORS = {
    "none": lambda alpha: lambda length: 1.0,
    "length": lambda alpha: lambda length: length**alpha,
    "gnmt": lambda alpha: lambda length: (5 + length) ** alpha / 6**alpha,
}
thorough = settings(max_examples=200, deadline=None)


def search(toy, sources, **options: Any):
    given_ = {"batch": len(sources), "begin": 0, "end": 1, **options}
    return beam(toy.step, toy.state(len(sources)), toy.memory(sources), **given_)


@pytest.mark.parametrize(
    ("normalisation", "alpha"), [("none", 1.0), ("length", 1.0), ("length", 0.6), ("length", 0.0), ("gnmt", 0.8)]
)
@pytest.mark.parametrize(
    "rules", [{}, {"minimum": 2}, {"forbidden": [[2], [3, 0], [0, 1]]}, {"ngram": 2}, {"ngram": 1, "prefix": [3, 2]}]
)
def test_an_infinite_beam_finds_all_sequences_there_are(slow, normalisation, alpha, rules):
    toy, sources, limit, divisor = slow.toy(4), [0, 3, 8], 4, DIVISORS[normalisation](alpha)
    constraints = Constraints(
        minimum_length=rules.get("minimum", 0),
        maximum_length=limit,
        prefix=[rules.get("prefix", [])] * 3,
        forbidden=rules.get("forbidden", []),
        no_repeat_ngram=rules.get("ngram", 0),
    )
    options: dict[str, Any] = {"normalisation": normalisation, "length_penalty": alpha, "constraints": constraints}
    found = search(toy, sources, width=500, best=500, **options)
    few = search(toy, sources, width=500, best=3, **options)
    for source, all_of_them, best in zip(sources, found, few, strict=True):
        ended = list(slow.everything(toy, source, limit, slow.may_follow(**rules)))
        assert 1 < len(ended) < 500
        expected = slow.ranked(ended, lambda each: slow.score(each, divisor))
        slow.same(all_of_them, expected)
        slow.same(best, expected[:3])


@st.composite
def problems(draw):
    batch = draw(st.integers(1, 4))
    vocabulary = draw(st.integers(2, 7))
    token = st.integers(0, vocabulary - 1)
    rules = [
        {
            "minimum": draw(st.integers(0, 2)),
            "prefix": draw(st.lists(token.filter(lambda each: each != 1), max_size=2)),
            "forbidden": draw(st.lists(st.lists(token, min_size=1, max_size=3), max_size=2)),
            "ngram": draw(st.integers(0, 3)),
        }
    ]
    for _ in range(batch - 1):
        rules.append({**rules[0], "prefix": draw(st.lists(token.filter(lambda each: each != 1), max_size=2))})
    width = draw(st.integers(1, 6))
    return {
        "vocabulary": vocabulary,
        "seed": draw(st.integers(0, 10**6)),
        "spread": draw(st.sampled_from([0.3, 2.0, 5.0])),
        "limits": draw(st.lists(st.integers(2, 9), min_size=batch, max_size=batch)),
        "rules": rules,
        "width": width,
        "best": draw(st.integers(1, width)),
        "normalisation": draw(st.sampled_from(list(DIVISORS))),
        "alpha": draw(st.floats(0, 2)),
        "beta": draw(st.sampled_from([0.0, 0.3])),
    }


@thorough
@given(problem=problems())
def test_stopping_early_changes_nothing(slow, problem):
    toy = slow.toy(problem["vocabulary"], problem["seed"], spread=problem["spread"])
    rules, limits, beta = problem["rules"], problem["limits"], problem["beta"]
    divisor = DIVISORS[problem["normalisation"]](problem["alpha"])
    constraints = Constraints(
        minimum_length=rules[0]["minimum"],
        maximum_length=limits,
        prefix=[each["prefix"] for each in rules],
        forbidden=rules[0]["forbidden"],
        no_repeat_ngram=rules[0]["ngram"],
    )
    found = search(
        toy,
        range(len(limits)),
        width=problem["width"],
        best=problem["best"],
        normalisation=problem["normalisation"],
        length_penalty=problem["alpha"],
        coverage_penalty=beta,
        attention=lambda state: state["attended"],
        constraints=constraints,
    )
    for source, (own, limit, hypotheses) in enumerate(zip(rules, limits, found, strict=True)):

        def score(each, source=source):
            covered = toy.coverage(source, each.tokens) if each.tokens and beta else []
            return slow.score(each, divisor) + beta * sum(math.log(min(place, 1)) for place in covered)

        ended = [*slow.beam(toy, source, limit, slow.may_follow(**own), problem["width"])]
        if beta and any(not each.tokens for each in ended):
            continue  # nothing was allowed at all: what an empty sequence has covered is not worth a law
        slow.same(hypotheses, slow.ranked(ended, score)[: problem["best"]])


@pytest.mark.parametrize("normalisation", list(DIVISORS))
def test_a_beam_of_one_is_greedy(slow, normalisation):
    for seed in range(30):
        toy = slow.toy(6, seed)
        constraints = Constraints(maximum_length=[9, 3, 9, 5], minimum_length=seed % 3, no_repeat_ngram=seed % 4)
        given_: dict[str, Any] = {"batch": 4, "begin": 0, "end": 1, "constraints": constraints}
        one = greedy(toy.step, toy.state(4), toy.memory(range(4)), **given_)
        found = search(toy, range(4), width=1, normalisation=normalisation, constraints=constraints)
        for own, [other] in zip(one, found, strict=True):
            assert own.tokens == other.tokens
            assert own.finished == other.finished
            assert own.log_probability == other.log_probability


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("vocabulary", [9, 3000])
def test_what_else_is_in_the_batch_changes_nothing_to_the_last_bit(slow, dtype, vocabulary):
    toy = slow.toy(vocabulary, dtype=dtype)
    toy.table[:, 1] += 1 if vocabulary == 9 else 7
    sources, lengths = [5, 2, 9, 14, 7], torch.tensor([12, 3, 7, 12, 5])
    options: dict[str, Any] = {
        "best": 3,
        "coverage_penalty": 0.2,
        "attention": lambda state: state["attended"],
    }
    together = search(
        toy, sources, source_lengths=[4, 1, 2, 4, 3], constraints=Constraints(maximum_length=lengths), **options
    )
    assert len({len(each.tokens) for found in together for each in found}) > 3
    assert any(each.finished for found in together for each in found)
    for place, source in enumerate(sources):
        constraints = Constraints(maximum_length=int(lengths[place]))
        length = [4, 1, 2, 4, 3][place]
        [alone] = search(toy, [source], source_lengths=[length], constraints=constraints, **options)
        assert alone == together[place]
    turned = search(
        toy,
        sources[::-1],
        source_lengths=torch.tensor([3, 4, 2, 1, 4]),
        constraints=Constraints(maximum_length=lengths.flip(0).tolist()),
        **options,
    )
    assert turned == together[::-1]


def chain(*steps: dict[int, float], vocabulary: int = 4):
    """A step that says the same whatever has been: the probabilities of tokens at each place; others get none."""

    def step(tokens, state, memory):
        calls.append(len(tokens))
        logits = torch.full((len(tokens), vocabulary), -torch.inf, dtype=torch.float64)
        for token, p in steps[min(len(calls), len(steps)) - 1].items():
            logits[:, token] = math.log(p)
        return logits, state

    calls: list[int] = []
    return step, calls


def test_a_search_stops_where_the_rest_can_get_no_better_and_not_before():
    # The end at once has log 0.6 = -0.51. What goes on has log 0.4 = -0.92, and at best, with a length of 4, a quarter
    # of it: -0.23. So it must go on; with nothing to divide by it need not.
    step, calls = chain({1: 0.6, 2: 0.4}, {2: 1.0}, {2: 1.0}, {1: 1.0})
    options: dict[str, Any] = {"batch": 1, "begin": 0, "end": 1, "width": 2}
    [[found]] = beam(step, (), (), constraints=Constraints(maximum_length=4), **options)
    assert found == ((2, 2, 2), pytest.approx(math.log(0.4) / 4), pytest.approx(math.log(0.4)), True)
    assert len(calls) == 4
    # At most one token and the end mark: a half of it, -0.46, is still better than -0.51; with 0.65 and 0.35 not.
    for first, called in ((0.6, 2), (0.65, 1)):
        step, calls = chain({1: first, 2: 1 - first}, {1: 1.0})
        beam(step, (), (), constraints=Constraints(maximum_length=2), **options)
        assert len(calls) == called
    step, calls = chain({1: 0.6, 2: 0.4}, {2: 1.0}, {2: 1.0}, {1: 1.0})
    [[found]] = beam(step, (), (), normalisation="none", constraints=Constraints(maximum_length=4), **options)
    assert (found.tokens, len(calls)) == ((), 1)
    # Two are wanted, so one is not enough.
    step, calls = chain({1: 0.6, 2: 0.4}, {2: 1.0}, {2: 1.0}, {1: 1.0})
    [found] = beam(step, (), (), normalisation="none", best=2, constraints=Constraints(maximum_length=4), **options)
    assert ([each.tokens for each in found], len(calls)) == ([(), (2, 2, 2)], 4)


def test_of_equal_scores_the_earlier_comes_first_and_the_later_is_not_looked_for():
    step, calls = chain({1: 0.5, 2: 0.5}, {1: 1.0})
    [[found]] = beam(step, (), (), batch=1, begin=0, end=1, width=2, normalisation="none")
    assert (found.tokens, found.finished, len(calls)) == ((), True, 1)


def test_what_was_cut_off_comes_behind_what_finished():
    step, _ = chain({1: 0.1, 2: 0.9}, {2: 1.0})
    [found] = beam(step, (), (), batch=1, begin=0, end=1, width=2, best=2, constraints=Constraints(maximum_length=3))
    assert found[0] == ((), pytest.approx(math.log(0.1)), pytest.approx(math.log(0.1)), True)
    assert found[1] == ((2, 2, 2), pytest.approx(math.log(0.9) / 3), pytest.approx(math.log(0.9)), False)


def test_the_rows_of_what_has_ended_leave_the_batch(slow):
    toy = slow.toy(5)
    limits = [2] * 7 + [12]
    search(toy, range(8), width=3, best=3, constraints=Constraints(maximum_length=limits, minimum_length=2))
    assert toy.rows[:2] == [8, 24]
    assert set(toy.rows[2:]) <= {1, 2, 3}
    assert toy.rows[2] == 3


@pytest.mark.parametrize(
    "rules",
    [
        {},
        {"minimum_length": 3, "forbidden": [[2], [3, 4]]},
        {"prefix": [[3, 2], []], "no_repeat_ngram": 2},
        {"required": [[[3, 4]], []]},
        {"maximum_length": [0, 6]},
    ],
)
@pytest.mark.parametrize("normalisation", ["none", "length"])
@pytest.mark.parametrize("coverage", [0.0, 0.4])
def test_whether_all_hypotheses_have_rows_from_the_start_changes_nothing(
    slow, monkeypatch, rules, normalisation, coverage
):
    toy = slow.toy(7)
    for sources in ([5, 2], [11, 3], [4, 4]):
        options: dict[str, Any] = {
            "width": 4, "best": 3, "normalisation": normalisation, "coverage_penalty": coverage,
            "constraints": Constraints(**{"maximum_length": 9, **rules}), "attention": lambda state: state["attended"],
        }  # fmt: skip
        monkeypatch.setattr(steps, "HANDFUL", 0)
        toy.rows.clear()
        apart = search(toy, sources, **options)
        assert toy.rows[0] == 2
        monkeypatch.setattr(steps, "HANDFUL", 8)
        toy.rows.clear()
        assert search(toy, sources, **options) == apart
        assert set(toy.rows) == {8}


def test_coverage_is_what_all_steps_attended_to_and_padding_does_not_count():
    # Two steps: a token, and the end. 0.9 + 0.3 is more than 1, and counts as 1; 0.1 + 0.2 = 0.3; padding got nothing.
    weights = torch.tensor([[0.9, 0.1, 0.0], [0.3, 0.2, 0.0]])

    def step(tokens, state, memory):
        [place] = state["place"].unique().tolist()
        logits = torch.tensor([-torch.inf, -torch.inf, 0.0] if place == 0 else [0.0, 0.0, -torch.inf])
        state = {"place": state["place"] + 1, "weights": weights[place].expand(len(tokens), 3)}
        return logits.expand(len(tokens), 3), state

    state = {"place": torch.zeros(1, dtype=torch.long), "weights": torch.zeros(1, 3)}
    options: dict[str, Any] = {
        "batch": 1, "begin": 0, "end": 1, "width": 1, "coverage_penalty": 0.5, "attention": lambda s: s["weights"],
        "constraints": Constraints(forbidden=[0]),
    }  # fmt: skip
    [[found]] = beam(step, state, (), source_lengths=[2], **options)
    assert found.tokens == (2,)
    assert found.score == pytest.approx(math.log(0.5) / 2 + 0.5 * math.log(0.3), abs=1e-6)
    [[found]] = beam(step, state, (), **options)
    tiny = 2.0**-126  # the least positive float32: the third place has had nothing
    assert found.score == pytest.approx(math.log(0.5) / 2 + 0.5 * (math.log(0.3) + math.log(tiny)), abs=1e-5)


def test_a_limit_of_nothing_gives_an_empty_hypothesis(slow):
    toy = slow.toy(5)
    found = search(toy, range(3), constraints=Constraints(maximum_length=[0, 4, 0]))
    assert found[0] == found[2] == [((), 0.0, 0.0, False)]
    assert found[1] == search(toy, [1], constraints=Constraints(maximum_length=4))[0]
    toy.rows.clear()
    assert search(toy, range(2), constraints=Constraints(maximum_length=0)) == [found[0]] * 2
    assert toy.rows == []


def test_a_batch_of_nothing_gives_nothing(slow):
    assert search(slow.toy(5), []) == []


def test_there_may_be_fewer_sequences_than_were_asked_for():
    step, _ = chain({1: 0.7, 2: 0.3}, {1: 1.0})
    [found] = beam(step, (), (), batch=1, begin=0, end=1, width=9, best=9)
    assert [each.tokens for each in found] == [(), (2,)]  # log 0.7 is -0.36, log 0.3 / 2 is -0.60


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 0}, "a beam needs a width of 1 or more, not 0"),
        ({"width": 3, "best": 4}, "a beam of 3 can give its 1 to 3 best hypotheses, not 4"),
        ({"best": 0}, "a beam of 5 can give its 1 to 5 best hypotheses, not 0"),
        ({"length_penalty": -0.5}, "length_penalty must be 0 or more, not -0.5"),
        ({"coverage_penalty": math.nan}, "coverage_penalty must be 0 or more, not nan"),
        (
            {"coverage_penalty": 0.1},
            "a coverage penalty needs `attention`, which reads the weights out of the state",
        ),
        (
            {"coverage_penalty": 0.1, "attention": lambda s: s["attended"], "source_lengths": [3]},
            "source_lengths for 1 sources, but the batch has 2",
        ),
        ({"constraints": Constraints(prefix=[[2]])}, "prefix for 1 sources, but the batch has 2"),
        ({"end": 9}, "there is no token 9: the vocabulary has 5"),
    ],
)
def test_what_cannot_be_is_named(slow, options, message):
    with pytest.raises(BadOption, match="^" + re.escape(message) + "$"):
        search(slow.toy(5), [0, 1], **options)


def test_an_unknown_normalisation_is_named(slow):
    with pytest.raises(UnknownName, match=r"^unknown normalisation 'lenght'; did you mean 'length'\?$"):
        search(slow.toy(5), [0], normalisation="lenght")


def test_a_state_of_other_rows_is_named(slow):
    toy = slow.toy(5)
    with pytest.raises(ValueError, match=r"^a batch of 2 sources, but the memory has 3 rows$"):
        beam(toy.step, toy.state(2), toy.memory([0, 1, 2]), batch=2, begin=0, end=1)


def test_attention_of_other_rows_is_named(slow):
    with pytest.raises(ValueError, match=r"^attention weights of shape \(2, 3, 4\) where \(2, source\) is due$"):
        search(slow.toy(5), [0, 1], coverage_penalty=0.1, attention=lambda state: torch.zeros(2, 3, 4))


def test_what_is_no_number_is_not_taken_for_one(slow):
    toy = slow.toy(5)
    toy.table[:] = math.nan
    with pytest.raises(NotFinite, match=r"^the step gave logits that are not numbers, or infinite, after 0 tokens$"):
        search(toy, [0, 1])


def test_an_empty_row_may_say_what_it_wants(slow):
    # The row of a hypothesis that has ended may stay in the batch for a while: what comes of it must not matter.
    toy = slow.toy(5)

    def step(tokens, state, memory):
        logits, state = toy.step(tokens, state, memory)
        return logits.masked_fill((tokens == 1).unsqueeze(1), math.nan), state

    given_: dict[str, Any] = {"batch": 6, "begin": 0, "end": 1, "best": 5}
    found = beam(step, toy.state(6), toy.memory(range(6)), **given_)
    assert found == beam(toy.step, toy.state(6), toy.memory(range(6)), **given_)


def test_no_gradient_is_kept(slow):
    toy = slow.toy(5)
    toy.table.requires_grad_()
    seen = []

    def step(tokens, state, memory):
        logits, state = toy.step(tokens, state, memory)
        seen.append(logits.requires_grad)
        return logits, state

    beam(step, toy.state(2), toy.memory([0, 1]), batch=2, begin=0, end=1)
    assert seen
    assert not any(seen)


def test_the_logits_of_a_step_are_left_as_they_are(slow):
    toy = slow.toy(5)
    before = toy.table.clone()

    def step(tokens, state, memory):
        _, state = toy.step(tokens, state, memory)
        return toy.table[: len(tokens)], state  # no copy

    rules = Constraints(minimum_length=2, forbidden=[2, [3, 4]], no_repeat_ngram=2, maximum_length=6)
    beam(step, toy.state(2), toy.memory([0, 1]), batch=2, begin=0, end=1, constraints=rules)
    greedy(step, toy.state(2), toy.memory([0, 1]), batch=2, begin=0, end=1, constraints=rules)
    assert torch.equal(toy.table, before)
