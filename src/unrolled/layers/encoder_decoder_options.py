"""What an encoder and decoder are made of, checked as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from unrolled.errors import BadOption


@dataclass(frozen=True, kw_only=True)
class EncoderDecoderOptions:
    """What an encoder and decoder are made of.

    Attributes:
        source_words, target_words: how many there are in each vocabulary.
        source_size, target_size: features of an embedded word.
        cell: the name of a file in `cells/`. cell_options: its own options.
        hidden_size: units of a layer of the decoder. layers: how many it has.
        encoder_hidden: units of a layer of the encoder, in each direction. encoder_layers: how many it has.
        directions: `both`: the encoder reads forwards and backwards.
        connections: `residual`: layers add what they read to what they give, where sizes allow it.
        attention: how a place is scored: see `additive.py`, `multiplicative.py`, `multihead.py`. `none`: the decoder
            has only the encoder vector.
        place: where attention is: see `stacked_decoder.py`.
        attention_size: units of additive and concat scores, and of all heads together. heads: of `multihead`.
        feeding: `input`: the decoder also reads the readout before (Luong et al. 2015, section 3.3).
        vector: `every`: every step of the decoder reads the encoder vector; `first`: it is in the first state alone.
        bridge: from the encoder's states to the decoder's first: see `bridge.py`.
        readout: what the softmax reads: see `readout.py`. readout_size: its features; None: those of the target's
            embedding where that is tied, `hidden_size` elsewhere.
        tied: `target`: the softmax's weight is the target's embedding; `all`: and that is the source's, too, for one
            vocabulary of both.
        coverage: `scores`: additive or concat scores read how much a place was attended to (See et al. 2017, eq. 11).
        coverage_loss: how much it counts in the loss that a place is attended to again (eq. 13 there).
        copying: `pointer`: words of the source can be copied: see `pointer.py`. unknown: the number of the target word
            that stands for those that the vocabulary has not, when they are read.
        embedding_dropout, dropout, readout_dropout: how likely a feature of a row is dropped from embedded words,
            between layers, and from the readout.
        initialisation, forget_bias: of the cells, as `cells.initialise.initialise_` has them; the second where a cell
            has such a gate.
    """

    source_words: int
    target_words: int
    source_size: int = 256
    target_size: int = 256
    cell: str = "gru"
    cell_options: Mapping[str, Any] | None = None
    hidden_size: int = 256
    encoder_hidden: int = 256
    encoder_layers: int = 1
    layers: int = 1
    directions: Literal["both", "forward"] = "both"
    connections: Literal["plain", "residual"] = "plain"
    attention: Literal["none", "additive", "dot", "general", "concat", "multihead"] = "additive"
    place: Literal["before", "between", "after"] = "before"
    attention_size: int = 256
    heads: int = 4
    feeding: Literal["none", "input"] = "none"
    vector: Literal["first", "every"] = "first"
    bridge: Literal["last", "learnt", "mean", "zero"] = "learnt"
    readout: Literal["state", "context", "deep"] = "deep"
    readout_size: int | None = None
    tied: Literal["none", "target", "all"] = "none"
    coverage: Literal["none", "scores"] = "none"
    coverage_loss: float = 1.0
    copying: Literal["none", "pointer"] = "none"
    unknown: int = 0
    embedding_dropout: float = 0.0
    dropout: float = 0.0
    readout_dropout: float = 0.0
    initialisation: Literal["orthogonal", "uniform"] = "orthogonal"
    forget_bias: float = 1.0

    def __post_init__(self) -> None:
        """Raise `BadOption` for what no part would refuse."""
        for name, known in _CHOICES.items():
            if getattr(self, name) not in known:
                raise BadOption(f"{name} must be one of {', '.join(known)}, not {getattr(self, name)!r}")
        for name in ("layers", "encoder_layers"):
            if getattr(self, name) < 1:
                raise BadOption(f"{name} must be 1 or more, not {getattr(self, name)}")
        if self.coverage != "none" and self.attention not in ("additive", "concat"):
            raise BadOption(f"coverage is part of additive and concat scores; the attention is {self.attention!r}")
        if not self.coverage_loss >= 0:
            raise BadOption(f"coverage_loss must be 0 or more, not {self.coverage_loss}")
        if self.copying != "none" and self.attention == "none":
            raise BadOption("copying needs attention, which says what to copy; the attention is 'none'")
        if not 0 <= self.unknown < self.target_words:
            raise BadOption(
                f"unknown must be at least 0 and below target_words {self.target_words}, not {self.unknown}"
            )
        if self.tied == "all":
            for what in ("words", "size"):
                source, target = getattr(self, f"source_{what}"), getattr(self, f"target_{what}")
                if source != target:
                    raise BadOption(
                        f"one table for source and target (tied='all') needs source_{what} to be target_{what}, "
                        f"but they are {source} and {target}"
                    )
        if self.tied != "none" and self.shown_size != self.target_size:
            raise BadOption(
                f"a softmax tied to the embedding needs a readout of the target_size {self.target_size}, "
                f"not of {self.shown_size}"
            )
        if self.readout == "state" and self.attention != "none" and self.place == "after":
            raise BadOption("with attention after the cells and the readout 'state' nothing would read the context")

    @property
    def shown_size(self) -> int:
        """Features of the readout."""
        if self.readout_size is not None:
            return self.readout_size
        return self.target_size if self.tied != "none" and self.readout != "state" else self.hidden_size


_CHOICES = {
    "directions": ("both", "forward"),
    "connections": ("plain", "residual"),
    "attention": ("none", "additive", "dot", "general", "concat", "multihead"),
    "place": ("before", "between", "after"),
    "feeding": ("none", "input"),
    "vector": ("first", "every"),
    "bridge": ("last", "learnt", "mean", "zero"),
    "readout": ("state", "context", "deep"),
    "tied": ("none", "target", "all"),
    "coverage": ("none", "scores"),
    "copying": ("none", "pointer"),
}
