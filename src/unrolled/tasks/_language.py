"""How the network of a language model is made of its options; without its softmax other tasks begin with it, too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from unrolled.cells.base import Cell
from unrolled.data.vocabulary import Vocabulary
from unrolled.layers.language import LanguageNetwork, LanguageReader, Outputs, Rates
from unrolled.layers.stack import make_cell
from unrolled.layers.weight_drop import WeightDrop


def network_of(options: Mapping[str, Any], elements: Vocabulary) -> LanguageNetwork:
    """options: those of the constructor of `LanguageModel`, all of them; elements: of its texts."""
    o = options
    outputs = Outputs(
        kind=o["softmax"],
        tied=o["tied"] == "yes",
        counts=elements.counts or [1] * len(elements),
        cutoffs=o["cutoffs"] or (),
        samples=o["samples"],
        components=o["components"],
    )
    penalties = {"activation": o["activation_penalty"], "change": o["change_penalty"]}
    return LanguageNetwork(len(elements), o["word_size"], outputs=outputs, **penalties, **_reading(o))


def reader_of(options: Mapping[str, Any], elements: Vocabulary) -> LanguageReader:
    """The same without its softmax; its weights have the same names."""
    return LanguageReader(len(elements), options["word_size"], **_reading(options))


def _reading(o: Mapping[str, Any]) -> dict[str, Any]:
    def make(size: int, units: int) -> Cell:
        how = {"initialisation": o["initialisation"], "forget_bias": o["forget_bias"]}
        made = make_cell(o["cell"], size, units, o["cell_options"], **how)
        return WeightDrop(made, o["weight_drop"]) if o["weight_drop"] else made

    last = o["word_size"] if o["tied"] == "yes" else o["hidden_size"]
    units = [o["hidden_size"]] * (o["layers"] - 1) + [last] * (o["layers"] > 0)
    rates = Rates(o["type_dropout"], o["embedding_dropout"], o["dropout"], o["output_dropout"])
    return {"make": make, "units": units, "rates": rates}
