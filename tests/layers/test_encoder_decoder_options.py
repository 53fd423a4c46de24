"""What an encoder and decoder can be made of, and what is said of what they cannot."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from unrolled.errors import UserMistake
from unrolled.layers.encoder_decoder import EncoderDecoder


def test_tied_weights_are_one(network: Callable[..., EncoderDecoder]) -> None:
    one = network(tied="target")
    assert one.softmax.weight is one.target.weight is not one.encoder.embedding.weight
    assert one.decoder.readout.output_size == 5
    one = network(tied="all", source_words=13, source_size=5)
    assert one.softmax.weight is one.target.weight is one.encoder.embedding.weight


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"attention": "addtive"}, "attention must be one of none, additive, .*, not 'addtive'"),
        ({"layers": 0}, "layers must be 1 or more, not 0"),
        ({"encoder_layers": 0}, "encoder_layers must be 1 or more, not 0"),
        ({"tied": "all"}, "needs source_words to be target_words, but they are 11 and 13"),
        ({"tied": "all", "source_words": 13}, "needs source_size to be target_size, but they are 4 and 5"),
        ({"tied": "target", "readout_size": 6}, "needs a readout of the target_size 5, not of 6"),
        ({"tied": "target", "readout": "state"}, "needs a readout of the target_size 5, not of 8"),
        ({"place": "after", "readout": "state"}, "nothing would read the context"),
        ({"coverage": "scores", "attention": "dot"}, "coverage is part of additive and concat scores; .* 'dot'"),
        ({"coverage_loss": -1.0}, "coverage_loss must be 0 or more, not -1.0"),
        ({"copying": "pointer", "attention": "none"}, "copying needs attention"),
        ({"unknown": 13}, "unknown must be at least 0 and below target_words 13, not 13"),
        ({"attention": "dot", "hidden_size": 7}, "dot attention needs a memory of the query's 7 features, not of 8"),
        ({"feeding": "input", "readout": "state", "attention": "none"}, "what is fed back is the readout"),
        ({"cell": "gur"}, "unknown cell 'gur'; did you mean 'gru'?"),
        ({"cell_options": {"proj_size": 2}}, "unknown option of the cell gru 'proj_size'"),
        ({"hidden_size": 0}, "hidden_size must be 1 or more, not 0"),
        ({"dropout": 1.0}, "a dropout probability must be at least 0 and below 1, not 1.0"),
    ],
)
def test_options_that_cannot_be_are_refused(
    options: dict[str, Any], message: str, network: Callable[..., EncoderDecoder]
) -> None:
    with pytest.raises(UserMistake, match=message):
        network(**options)
