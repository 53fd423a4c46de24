"""The binding of the decoder that attends refuses what does not fit before the compiled code reads it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from unrolled.kernels import attention, library
from unrolled.kernels.attention import Batch, Came, Memory, Scorer
from unrolled.kernels.recurrence import Weights

pytestmark = pytest.mark.skipif(library.load() is None, reason=f"there are no compiled kernels: {library.why()}")

BATCH = Batch(torch.randn(5, 3), torch.tensor([2, 2, 1]), torch.tensor([0, 2, 4]))
MEMORY = Memory(torch.randn(6, 4), torch.tensor([0, 4]), torch.tensor([4, 2]), 4)
SCORER = Scorer(torch.randn(6, 4), torch.randn(6, 5), torch.randn(6), torch.randn(6))
WEIGHTS = Weights(torch.randn(15, 7), torch.randn(15, 5), torch.randn(15), torch.randn(15))
STATE = (torch.zeros(2, 5),)


def run(batch: Batch = BATCH, memory: Memory = MEMORY, scorer: Scorer = SCORER, w: Weights = WEIGHTS) -> attention.Made:
    return attention.forward("gru", batch, memory, scorer, w, STATE, keep=True)


def test_what_fits_runs_and_gives_these_shapes() -> None:
    made = run()
    assert [tuple(t.shape) for t in made[:3]] == [(5, 5), (5, 4), (5, 4)]
    assert not made.weights[[1, 3], 2:].any()


@pytest.mark.parametrize(
    ("first", "lengths", "places", "message"),
    [
        ([0, 4], [4, 0], 4, "lengths must be from 1 to 4, not 0 to 4"),
        ([0, 5], [5, 1], 6, "lengths must be from 1 to 4, not 1 to 5"),
        ([0, 4], [4, 2], 7, "all lengths add up to 7 places"),
        ([0, 3], [4, 2], 6, "first must be the sums of the lengths before"),
        ([1, 5], [4, 2], 7, "first must be the sums of the lengths before"),
        ([0], [4], 4, "first must be 2 contiguous long numbers on the CPU"),
        ([0, 4], [4.0, 2.0], 6, "lengths must be 2 contiguous long numbers on the CPU"),
    ],
)
def test_places_that_do_not_fit_are_refused(first: list[int], lengths: list[int], places: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        run(memory=Memory(torch.randn(places, 4), torch.tensor(first), torch.tensor(lengths), 4))


@pytest.mark.parametrize(
    "scorer",
    [
        SCORER._replace(key=torch.randn(6, 3)),
        SCORER._replace(query=torch.randn(6, 4)),
        SCORER._replace(query=torch.randn(7, 5)),
        SCORER._replace(bias=torch.randn(5)),
        SCORER._replace(value=torch.randn(7)),
        SCORER._replace(value=torch.randn(6, dtype=torch.float64)),
    ],
    ids=["key", "query of another state", "query of other units", "bias", "value", "float64"],
)
def test_scores_of_other_sizes_or_types_are_refused(scorer: Scorer) -> None:
    with pytest.raises(ValueError, match="these do not make a gru that attends, in float32 on the CPU"):
        run(scorer=scorer)


@pytest.mark.parametrize(
    "w",
    [
        WEIGHTS._replace(ih=torch.randn(15, 6)),
        WEIGHTS._replace(ih=torch.randn(20, 7)),
        WEIGHTS._replace(hh=torch.randn(15, 4)),
        WEIGHTS._replace(bias_ih=torch.randn(5)),
    ],
    ids=["without room for the context", "gates of an LSTM", "hidden", "bias"],
)
def test_weights_of_other_sizes_are_refused(w: Weights) -> None:
    with pytest.raises(ValueError, match="these do not make a gru that attends, in float32 on the CPU"):
        run(w=w)


def test_a_cell_without_such_a_loop_is_refused() -> None:
    with pytest.raises(ValueError, match="these do not make a rnn_tanh that attends"):
        attention.forward("rnn_tanh", BATCH, MEMORY, SCORER, WEIGHTS, STATE, keep=True)


def test_sizes_that_do_not_add_up_are_refused() -> None:
    with pytest.raises(ValueError, match=r"all add up to the elements: sizes \[.*\], 5 elements"):
        run(batch=Batch(BATCH.x, torch.tensor([2, 2]), torch.tensor([0, 2])))


@pytest.mark.parametrize("name", ["outputs", "contexts", "weights"])
def test_gradients_of_other_shapes_are_refused(name: str) -> None:
    made = run()
    came = Came(*(torch.randn_like(t) for t in made[:3]), (torch.zeros(2, 5),))
    wrong: dict[str, Tensor] = {name: torch.randn(5, 9)}
    with pytest.raises(ValueError, match=r"a gradient must be \(5, .\) in float32 on the CPU, not \(5, 9\)"):
        attention.backward("gru", BATCH, MEMORY, SCORER, WEIGHTS, STATE, made, came._replace(**wrong))
