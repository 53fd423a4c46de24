"""What holds of every kind of attention: all queries at once or one by one, among others or alone, its gradients."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from unrolled import state as states
from unrolled.errors import BadOption
from unrolled.layers.additive import Additive
from unrolled.layers.attend import Attention, Source
from unrolled.layers.attention import ConcatScore, QueryScore
from unrolled.layers.multihead import MultiHead
from unrolled.layers.multiplicative import Dot, General

KINDS: dict[str, Callable[[], Attention]] = {
    "additive": lambda: Additive(QueryScore(4, 4, 3)),
    "concat": lambda: Additive(ConcatScore(4, 4, 3)),
    "coverage": lambda: Additive(QueryScore(4, 4, 3), coverage="scores"),
    "dot": lambda: Dot(4, 4),
    "general": lambda: General(4, 4),
    "multihead": lambda: MultiHead(4, 4, 6, 2),
}
SIZES, LENGTHS = torch.tensor([3, 3, 2, 1]), torch.tensor([2, 5, 1])
"""Targets of 4, 3 and 2 elements, whose sources have 2, 5 and 1."""
ELEMENTS = [[0, 3, 6, 8], [1, 4, 7], [2, 5]]
"""Of each row."""


def source_of(one: Attention, memory: Tensor | None = None) -> Source:
    mask = torch.arange(5) < LENGTHS.unsqueeze(1)
    memory = torch.randn(3, 5, 4, dtype=torch.float64) if memory is None else memory
    return one.source(memory.masked_fill(~mask.unsqueeze(2), 0), mask)


def queries() -> Tensor:
    return torch.randn(9, 4, dtype=torch.float64)


@pytest.fixture(params=KINDS)
def attention(request: pytest.FixtureRequest) -> Attention:
    return KINDS[request.param]().double()


def test_all_queries_at_once_are_answered_as_one_by_one(attention: Attention) -> None:
    source, asked = source_of(attention), queries()
    with torch.no_grad():
        found = attention(source, asked, SIZES)
        covered, start = torch.zeros(3, 5).double(), 0
        for alive in SIZES.tolist():
            here, rows = slice(start, start + alive), torch.arange(alive)
            now = states.select((source, covered), rows)
            one = attention(now[0], asked[here], torch.tensor([alive]), now[1])
            torch.testing.assert_close(one.contexts, found.contexts[here])
            torch.testing.assert_close(one.weights, found.weights[here])
            covered, start = now[1] + one.weights, start + alive


def test_a_row_alone_gets_what_it_gets_among_others(attention: Attention) -> None:
    source, asked = source_of(attention), queries()
    found = attention(source, asked, SIZES)
    for row, (elements, length) in enumerate(zip(ELEMENTS, LENGTHS.tolist(), strict=True)):
        own = states.tree_map(lambda t, row=row, length=length: t[row : row + 1, :length], source)
        alone = attention(own, asked[elements], torch.ones(len(elements), dtype=torch.int64))
        torch.testing.assert_close(found.contexts[elements], alone.contexts)
        torch.testing.assert_close(found.weights[elements][:, :length], alone.weights)
        assert not found.weights[elements][:, length:].any()


def test_a_row_that_is_not_finite_harms_no_other(attention: Attention) -> None:
    memory, asked = torch.randn(3, 5, 4, dtype=torch.float64), queries()
    clean = attention(source_of(attention, memory), asked, SIZES)
    memory[1], asked[ELEMENTS[1]] = torch.nan, torch.nan
    found = attention(source_of(attention, memory), asked, SIZES)
    rest = ELEMENTS[0] + ELEMENTS[2]
    torch.testing.assert_close(found.contexts[rest], clean.contexts[rest])
    torch.testing.assert_close(found.weights[rest], clean.weights[rest])


def test_weights_add_up_to_1_and_what_has_one_place_looks_at_it(attention: Attention) -> None:
    found = attention(source_of(attention), queries(), SIZES)
    torch.testing.assert_close(found.weights.sum(1), torch.ones(9).double())
    torch.testing.assert_close(found.weights[ELEMENTS[2], 0], torch.ones(2).double())


class Whole(nn.Module):
    """From a padded memory and queries to contexts and weights."""

    def __init__(self, attention: Attention) -> None:
        super().__init__()
        self.attention = attention

    def forward(self, memory: Tensor, asked: Tensor) -> tuple[Tensor, Tensor]:
        found = self.attention(source_of(self.attention, memory), asked, SIZES)
        return found.contexts, found.weights


def test_first_and_second_derivatives_are_right(attention: Attention) -> None:
    whole = Whole(attention)
    names = [name for name, _ in whole.named_parameters()]

    def run(memory: Tensor, asked: Tensor, *parameters: Tensor) -> tuple[Tensor, Tensor]:
        return torch.func.functional_call(whole, dict(zip(names, parameters, strict=True)), (memory, asked))

    given = (torch.randn(3, 5, 4).double(), torch.randn(9, 4).double(), *whole.parameters())
    given = tuple(t.detach().requires_grad_() for t in given)
    assert torch.autograd.gradcheck(run, given)
    assert torch.autograd.gradgradcheck(run, given, fast_mode=True)


def test_a_source_repeats_and_selects_its_rows_as_a_state_does(attention: Attention) -> None:
    source, asked = source_of(attention), queries()[:3]
    once = attention(source, asked, torch.tensor([3]))
    twice = attention(states.repeat(source, 2), asked.repeat_interleave(2, 0), torch.tensor([6]))
    torch.testing.assert_close(twice.contexts, once.contexts.repeat_interleave(2, 0))


def test_additive_and_concat_are_what_their_scores_say() -> None:
    for score in (QueryScore(4, 4, 3).double(), ConcatScore(4, 4, 3).double()):
        one, asked = Additive(score), queries()[:3]
        source = source_of(one)
        weights = score(source.memory, asked).masked_fill(~source.mask, -torch.inf).softmax(1)
        torch.testing.assert_close(one(source, asked, torch.tensor([3])).weights, weights)


def test_keys_that_were_left_out_are_made() -> None:
    one, asked = KINDS["additive"]().double(), queries()
    source = source_of(one)
    torch.testing.assert_close(one(source._replace(keys=()), asked, SIZES), one(source, asked, SIZES))


def test_sizes_that_cannot_be_are_refused() -> None:
    with pytest.raises(BadOption, match="dot attention needs a memory of the query's 4 features, not of 6"):
        Dot(6, 4)
    with pytest.raises(BadOption, match="query_size must be 1 or more, not 0"):
        General(4, 0)
    with pytest.raises(BadOption, match="hidden_size must be 1 or more, not 0"):
        ConcatScore(4, 4, 0)
