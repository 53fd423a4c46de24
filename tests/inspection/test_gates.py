"""Gates are those of the equations, at the element that was read; what is found in them is there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tests.test_every_task import CELLS, NAMES, examples_of, made

from unrolled.data.examples import LabelledText, Pair, Passage, TaggedTokens
from unrolled.errors import BadOption
from unrolled.inspection.gates import Gates, Saturation, Values, gates, saturation
from unrolled.tasks.classifier import Classifier
from unrolled.tasks.language_model import LanguageModel
from unrolled.tasks.regressor import Regressor
from unrolled.tasks.tagger import Tagger
from unrolled.tasks.translator import Translator


def made_up(**of: list[list[float]]) -> Gates:
    """Two examples, of which the second is the first in lower case and three times as large."""
    values = {name: np.array(rows, dtype=np.float32) for name, rows in of.items()}
    more = {name: 3 * rows for name, rows in values.items()}
    size = len(next(iter(values.values())))
    return Gates(
        ((Values("cell", tuple("ABCDEFGHIJ"[:size]), values),), (Values("cell", tuple("abcdefghij"[:size]), more),))
    )


def test_an_lstms_gates_are_those_of_its_equations() -> None:
    torch.manual_seed(0)
    task = LanguageModel.prepare([Passage(text="a b c a")], hidden_size=4, word_size=4, layers=1)
    found = gates(task, ["c a b"])
    (layer,) = found.layers
    cell, table = task.network.stack.layers[0].cell, task.network.embedding.weight
    h = c = torch.zeros(4)
    elements = ("\n", "c", "a", "b")
    for place, element in enumerate(elements):
        x = table[task.elements.index(element)]
        a = cell.weight_ih @ x + cell.bias_ih + cell.weight_hh @ h + cell.bias_hh
        i, f, g, o = (part.sigmoid() if k != 2 else part.tanh() for k, part in enumerate(a.split(4)))
        c = f * c + i * g
        h = o * c.tanh()
        for name, wanted in {"i": i, "f": f, "g": g, "o": o, "c": c, "h": h}.items():
            ((read, values),) = found.of(layer, name)
            assert read == elements
            np.testing.assert_allclose(values[place], wanted.detach().numpy(), rtol=1e-5, atol=1e-6)


def test_what_reads_backwards_is_given_in_the_order_of_the_text() -> None:
    torch.manual_seed(0)
    task = Classifier.prepare(
        [LabelledText(text="a b c", label="x"), LabelledText(text="b", label="y")], hidden_size=4, layers=1
    )
    ahead, back = (
        gates(task, ["a b c"]).of(f"reader.stack.layers.0.{side}.cell", "h")[0] for side in ("ahead", "back")
    )
    alone_ahead, alone_back = (gates(task, [text]) for text in ("a", "c"))
    assert ahead[0] == back[0] == ("a", "b", "c")
    np.testing.assert_allclose(ahead[1][0], alone_ahead.of("reader.stack.layers.0.ahead.cell", "h")[0][1][0], rtol=1e-5)
    np.testing.assert_allclose(back[1][2], alone_back.of("reader.stack.layers.0.back.cell", "h")[0][1][0], rtol=1e-5)


def test_a_decoder_is_seen_reading_the_target() -> None:
    torch.manual_seed(0)
    pairs = [Pair(source="ab", target="xyz"), Pair(source="b", target="z")]
    task = Translator.prepare(pairs, source_tokens="characters", target_tokens="characters", hidden_size=4)
    found = gates(task, pairs[:1])
    of = {layer: found.of(layer, "h")[0][0] for layer in found.layers}
    assert {elements for layer, elements in of.items() if "decoder" in layer} == {("<begin>", "x", "y", "z")}
    assert {elements for layer, elements in of.items() if "decoder" not in layer} == {("a", "b")}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("cell", CELLS)
def test_every_cell_of_every_task_shows_all_its_values(name: str, cell: str) -> None:
    task, given = made(name, cell=cell), examples_of(name)
    found = gates(task, given)
    assert len(found.examples) == len(given)
    assert found.layers
    for layer in found.layers:
        for elements, values in found.of(layer, "h"):
            assert len(elements) == len(values)
            assert np.isfinite(values).all()


def test_a_mean_by_kind_is_over_all_elements_of_that_kind() -> None:
    found = made_up(f=[[0.0, 1.0], [0.2, 0.4]])
    found_by = found.mean("cell", "f", by=str.upper)
    assert {kind: count for kind, (_, count) in found_by.items()} == {"A": 2, "B": 2}
    assert [mean for mean, _ in found_by.values()] == pytest.approx([1.0, 0.6])


def test_a_unit_that_tells_is_found_and_how_well() -> None:
    torch.manual_seed(0)
    values = np.random.default_rng(1).random((20, 5), dtype=np.float32)
    flags = [k % 3 == 0 for k in range(20)]
    values[:, 3] = np.where(flags, -1, 1)
    found = Gates(((Values("cell", tuple("x" * 20), {"h": values}),),))
    best, *rest = found.units("cell", "h", [flags])
    assert (best.unit, best.area, best.inside, best.outside) == (3, 0.0, -1.0, 1.0)
    assert len(rest) == 4
    from sklearn.metrics import roc_auc_score

    for unit in rest:
        assert unit.area == pytest.approx(roc_auc_score(flags, values[:, unit.unit]))


def test_an_annotation_that_fits_nothing_is_refused() -> None:
    found = made_up(h=[[0.0], [1.0]])
    with pytest.raises(BadOption, match=r"the annotation has \[2, 1\] elements, the cell read \[2, 2\]"):
        found.units("cell", "h", [[True, False], [True]])
    with pytest.raises(BadOption, match="says the same of every element"):
        found.units("cell", "h", [[True, True], [True, True]])
    with pytest.raises(BadOption, match="cell has no 'f'; it has h"):
        found.of("cell", "f")
    with pytest.raises(BadOption, match="no cell 'x' was watched; there are cell"):
        found.of("x", "h")


def test_the_likest_place_is_the_one_with_the_same_course() -> None:
    course = [0.0, 0.0, 1.0, -1.0, 0.5, 0.0, 0.0, 0.0, 1.0, -1.0, 0.5, 0.0]
    found = Gates(((Values("cell", tuple("abcdefghijkl"), {"h": np.array(course, dtype=np.float32)[:, None]}),),))
    best, *_ = found.alike("cell", "h", 0, 0, 3, around=2)
    assert (best.example, best.place, best.value, best.likeness) == (0, 9, -1.0, 1.0)
    with pytest.raises(BadOption, match="place 1 of 12 has no 2 elements before and behind it"):
        found.alike("cell", "h", 0, 0, 1, around=2)
    with pytest.raises(BadOption, match="there is no unit 1"):
        found.alike("cell", "h", 1, 0, 3)


def test_saturation_counts_what_is_shut_and_open() -> None:
    assert saturation(np.array([0.05, 0.5, 0.95, 0.99], dtype=np.float32)) == pytest.approx(
        Saturation(0.25, 0.5, 0.05, 0.99)
    )
    assert saturation(np.array([-0.95, 0.0, 0.1, 0.99], dtype=np.float32)) == pytest.approx(
        Saturation(0.25, 0.25, -0.95, 0.99)
    )
    assert saturation(np.array([0.0, 3.0], dtype=np.float32)) is None


def test_the_task_is_left_as_it_was() -> None:
    task: Any = made("classifier").train()
    before = {name: value.clone() for name, value in task.state_dict().items()}
    gates(task, examples_of("classifier"))
    assert task.training
    assert all(torch.equal(value, before[name]) for name, value in task.state_dict().items())


@pytest.mark.parametrize("kind", ["words", "characters"])
@pytest.mark.parametrize("name", ["classifier", "tagger", "regressor"])
def test_a_language_model_below_is_seen_reading_its_own_elements_in_its_own_order(name: str, kind: str) -> None:
    """Its states are those that it has by itself."""
    texts = ["go and see it", "go it"]
    torch.manual_seed(0)
    lines = [Passage(text=text) for text in texts]
    models = [
        LanguageModel.prepare(lines, tokens=kind, direction=direction, hidden_size=4, word_size=3, layers=1).eval()
        for direction in ("forward", "backward")
    ]
    given = [LabelledText(text=text, label=str(k)) for k, text in enumerate(texts)]
    tagged = [TaggedTokens(tokens=tuple(text.split()), tags=tuple("xyxy"[: len(text.split())])) for text in texts]
    task: Any = {
        "classifier": lambda: Classifier.prepare(given, encoder=models),
        "regressor": lambda: Regressor.prepare(given, encoder=models),
        "tagger": lambda: Tagger.prepare(tagged, encoder=models, layers=1, hidden_size=4),
    }[name]()
    found = gates(task, tagged if name == "tagger" else given)
    below = [layer for layer in found.layers if "encoders" in layer]
    assert len(below) == 2
    for layer, model in zip(below, models, strict=True):
        alone = gates(model, texts)
        (own,) = alone.layers
        for (elements, values), (wanted, same) in zip(found.of(layer, "h"), alone.of(own, "h"), strict=True):
            assert elements == wanted
            np.testing.assert_allclose(values, same, atol=1e-6)
    above = [layer for layer in found.layers if "encoders" not in layer]
    assert len(above) == (2 if name == "tagger" else 0)
    for layer in above:
        assert [elements for elements, _ in found.of(layer, "h")] == [tuple(text.split()) for text in texts]
