"""The bindings of input feeding and of attention alone refuse what does not fit before the compiled code reads it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from unrolled.kernels import feeding, library, looking
from unrolled.kernels.attention import Batch, Memory
from unrolled.kernels.feeding import Came, Given, Reads
from unrolled.kernels.recurrence import Weights

pytestmark = pytest.mark.skipif(library.load() is None, reason=f"there are no compiled kernels: {library.why()}")

BATCH = Batch(torch.randn(5, 3), torch.tensor([2, 2, 1]), torch.tensor([0, 2, 4]))
MEMORY = Memory(torch.randn(6, 4), torch.tensor([0, 4]), torch.tensor([4, 2]), 4)
READS = Reads(torch.randn(6, 5), torch.randn(6), torch.randn(6), torch.randn(7, 5), torch.randn(7, 4))
WEIGHTS = Weights(torch.randn(15, 10), torch.randn(15, 5), torch.randn(15), torch.randn(15))
GIVEN = Given(BATCH, MEMORY, torch.randn(6, 6), torch.randn(5, 7), (torch.zeros(2, 5),), torch.zeros(2, 7))


def run(given: Given = GIVEN, reads: Reads = READS, w: Weights = WEIGHTS) -> feeding.Made:
    return feeding.forward("gru", given, reads, w, keep=True)


def test_what_fits_runs_and_gives_these_shapes() -> None:
    made = run()
    assert [tuple(t.shape) for t in made[:4]] == [(5, 5), (5, 4), (5, 4), (5, 7)]
    assert not made.weights[[1, 3], 2:].any()
    inner = READS._replace(query=None, bias=None, value=None)
    assert run(GIVEN._replace(keys=torch.randn(6, 5)), inner).shows.shape == (5, 7)


@pytest.mark.parametrize(
    "reads",
    [
        READS._replace(query=torch.randn(6, 4)),
        READS._replace(query=torch.randn(5, 5)),
        READS._replace(bias=torch.randn(5)),
        READS._replace(value=torch.randn(5)),
        READS._replace(value=None),
        READS._replace(query=None, bias=None, value=None),
        READS._replace(of_state=torch.randn(7, 4)),
        READS._replace(of_state=torch.randn(6, 5)),
        READS._replace(of_context=torch.randn(7, 5)),
        READS._replace(of_context=torch.randn(7, 4, dtype=torch.float64)),
    ],
    ids=["state", "units", "bias", "value", "no value", "keys of another size", "h", "shown", "c", "float64"],
)
def test_weights_of_other_sizes_or_types_are_refused(reads: Reads) -> None:
    with pytest.raises(ValueError, match="these do not make a gru that is fed what it shows, in float32 on the CPU"):
        run(reads=reads)


@pytest.mark.parametrize("w", [WEIGHTS._replace(ih=torch.randn(15, 9)), WEIGHTS._replace(bias_hh=torch.randn(14))])
def test_a_cell_of_other_sizes_is_refused(w: Weights) -> None:
    with pytest.raises(ValueError, match="these do not make a gru that is fed what it shows, in float32 on the CPU"):
        run(w=w)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"keys": torch.randn(5, 6)}, r"keys must be \(6, 6\) in float32 on the CPU, not \(5, 6\)"),
        ({"said": torch.randn(5, 6)}, r"what the words give must be \(5, 7\) in float32 on the CPU, not \(5, 6\)"),
        ({"said": torch.randn(5, 7).double()}, r"what the words give must be .*, not \(5, 7\) in torch.float64"),
        ({"first": torch.zeros(1, 7)}, r"a state must be \(2, 7\) in float32 on the CPU, not \(1, 7\)"),
        ({"state": (torch.zeros(2, 4),)}, r"a state must be \(2, 5\) in float32 on the CPU, not \(2, 4\)"),
        ({"places": MEMORY._replace(lengths=torch.tensor([4, 3]))}, "all lengths add up to 6 places"),
        ({"batch": BATCH._replace(sizes=torch.tensor([2, 2, 2]))}, "all add up to the elements"),
    ],
)
def test_what_does_not_fit_is_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        run(GIVEN._replace(**changed))


@pytest.mark.parametrize("name", Came._fields)
def test_gradients_of_other_shapes_are_refused(name: str) -> None:
    made = run()
    came = Came(*(torch.randn_like(t) for t in made[:4]))
    wrong: dict[str, Tensor] = {name: torch.randn(5, 9)}
    with pytest.raises(ValueError, match=r"a gradient must be \(5, .\) in float32 on the CPU, not \(5, 9\)"):
        feeding.backward("gru", GIVEN, READS, WEIGHTS, made, came._replace(**wrong))


def test_attention_alone_refuses_what_does_not_fit() -> None:
    given = looking.Given(BATCH._replace(x=torch.randn(5, 6)), MEMORY, torch.randn(6, 6), torch.randn(6))
    assert looking.forward(given).contexts.shape == (5, 4)
    for changed, message in (
        ({"keys": torch.randn(5, 6)}, r"keys must be as many as places, 6, not \(5, 6\)"),
        ({"keys": torch.randn(6, 5)}, "these are no queries, places, keys and value in float32 on the CPU"),
        ({"value": torch.randn(5)}, "these are no queries, places, keys and value in float32 on the CPU"),
        ({"queries": BATCH}, "these are no queries, places, keys and value in float32 on the CPU"),
        ({"memory": MEMORY._replace(first=torch.tensor([0, 3]))}, "each row must begin behind the one before"),
        ({"memory": MEMORY._replace(first=torch.tensor([-1, 4]))}, "each row must begin behind the one before"),
        ({"memory": MEMORY._replace(first=torch.tensor([0, 5]))}, "and end within the 6 places"),
    ):
        with pytest.raises(ValueError, match=message):
            looking.forward(given._replace(**changed))
