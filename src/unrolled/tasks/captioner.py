"""What a picture shows, in words: one to many.

    picture ──► convolutions ──► features of a grid of places ──► attention's memory; their mean: the first state
                                            decoder ──► a caption, word by word

The encoder is trained from scratch, or is a network of torchvision's or timm's, or somebody else has run it before and
its features were stored. The decoder may have the picture in its first state alone (Vinyals et al. 2015,
arXiv:1411.4555), or look at places of it while it writes (Xu et al. 2015, arXiv:1502.03044), which is the default.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from unrolled.data.captions import Captioned, as_image, of_pillow, seen, sized
from unrolled.data.feeds import Feed
from unrolled.data.tokenisers.base import Case, Tokeniser
from unrolled.data.vocabulary import Vocabulary
from unrolled.errors import BadData, BadOption
from unrolled.layers.backbones import Backbone
from unrolled.layers.convolutions import Convolutions
from unrolled.layers.picture_encoder import PictureEncoder
from unrolled.layers.stack import CellName
from unrolled.metrics.captions import cider, word_f1
from unrolled.metrics.edits import sequence_error_rate
from unrolled.metrics.references import references_of
from unrolled.metrics.translation import translation_scores
from unrolled.tasks._moved import Moved, checked
from unrolled.tasks._packing import packed, packing
from unrolled.tasks._sequence_to_sequence import Encoded, SequenceToSequence
from unrolled.tasks._sides import Cut, learn_target

BLOCKS = (32, 64, 128, 256)
"""Features of the blocks of convolutions, where nothing else is said."""
OURS = "convolutional"
OF_PICTURES = ("encoder", "encoder_training", "encoder_weights", "size", "blocks", "depth", "shifted", "mirrored")
"""Options that stored features have no use for."""


class Captioner(SequenceToSequence):
    """A caption for each picture.

    Args:
        vocabularies: `target`.
        tokenisers: `target`.
        encoder: what looks at pictures: `convolutional`, ours; `torchvision:NAME` or `timm:NAME`, where installed.
        encoder_training: whether it is `learning`, or is left as it is (`frozen`), as a network that has learnt may be.
        size: all pictures are made that large, in rows and columns of pixels.
        blocks, depth: of ours: features of each block, between which the grid is halved, and convolutions of a block;
            None: 32, 64, 128, 256.
        shifted: in training each picture is moved by up to so many pixels, anew in each epoch.
        mirrored: the share of pictures whose left and right change places in training.
        inputs: features of a place, where these are stored; `prepare` finds it out. 0: there are pictures.
        bridge: the first state is the places' `mean`, through a matrix, or `zero`.
        picture_dropout: rate, of features of all places.
        vector: `every`: each step reads the places' mean; `first`: it is in the first state alone.
        cell, hidden_size, layers, connections, word_size, attention, place, attention_size, heads, feeding, readout,
            tied, coverage, coverage_loss, embedding_dropout, dropout, readout_dropout, initialisation, forget_bias,
            cell_options, label_smoothing, scheduled_sampling, longest, longest_said, case: as in `Translator`.
    """

    example = Captioned
    metric = "word_f1"

    def __init__(
        self,
        vocabularies: Mapping[str, Vocabulary],
        tokenisers: Mapping[str, Tokeniser],
        *,
        encoder: str = OURS,
        encoder_training: Literal["learning", "frozen"] = "learning",
        size: int = 64,
        blocks: list[int] | None = None,
        depth: int = 1,
        shifted: int = 3,
        mirrored: float = 0.0,
        inputs: int = 0,
        cell: CellName = "lstm",
        hidden_size: int = 256,
        layers: int = 2,
        connections: Literal["plain", "residual"] = "plain",
        word_size: int = 256,
        attention: Literal["none", "additive", "dot", "general", "concat", "multihead"] = "additive",
        place: Literal["before", "between", "after"] = "between",
        attention_size: int = 256,
        heads: int = 4,
        feeding: Literal["none", "input"] = "none",
        vector: Literal["first", "every"] = "first",
        bridge: Literal["mean", "zero"] = "mean",
        readout: Literal["state", "context", "deep"] = "deep",
        tied: Literal["none", "target"] = "target",
        coverage: Literal["none", "scores"] = "none",
        coverage_loss: float = 1.0,
        picture_dropout: float = 0.2,
        embedding_dropout: float = 0.2,
        dropout: float = 0.3,
        readout_dropout: float = 0.3,
        initialisation: Literal["orthogonal", "uniform"] = "orthogonal",
        forget_bias: float = 1.0,
        cell_options: dict[str, Any] | None = None,
        label_smoothing: float = 0.1,
        scheduled_sampling: float = 0.0,
        longest: int = 200,
        longest_said: int = 64,
        case: Case = "keep",
    ) -> None:
        checked(shifted, mirrored)
        super().__init__(vocabularies, tokenisers)
        looks = self.network.encoder.looks
        self.grid = (0, 0) if inputs else looks.grid(size, size)  # type: ignore[union-attr, operator]
        rows, columns = self.grid
        self._places = tuple(f"{row + 1},{column + 1}" for row in range(rows) for column in range(columns))

    @classmethod
    def prepare(
        cls,
        examples: Sequence[Captioned],
        *,
        tokens: Cut = "words",
        pieces: int = 8000,
        minimum_count: int = 1,
        encoder_weights: str | None = None,
        **options: Any,
    ) -> Captioner:
        """A captioner for these training examples: all of them pictures, or all of them features.

        Args:
            examples: with their captions.
            tokens, pieces, minimum_count: how captions are cut: as `target_tokens` and the others in `Translator`.
            encoder_weights: a file in the form of safetensors: what a network of torchvision's or timm's has learnt.
            options: of the constructor.

        Raises:
            BadData: no examples, or one without a caption, or whose features are others than those of the first.
            BadOption: options that do not fit each other, or the examples.
            MissingExtra, UnknownName: an encoder that is not to be had.
        """
        if not examples:
            raise BadData("there are no examples to learn from")
        for example in examples:
            _must_have_caption(example)
        if "inputs" in options:
            raise BadOption("inputs is not to be given: the training examples say it")
        if examples[0].image.ndim == 2:
            for name in OF_PICTURES:
                if name in options or (name == "encoder_weights" and encoder_weights is not None):
                    raise BadOption(f"{name} is an option for pictures; stored features have none")
            options["inputs"] = int(examples[0].image.shape[1])
        captions = [example.caption or "" for example in examples]
        vocabulary, tokeniser = learn_target(
            captions, options, tokens=tokens, pieces=pieces, minimum_count=minimum_count
        )
        task = cls({"target": vocabulary}, {"target": tokeniser}, **options)
        if encoder_weights is not None:
            looks = task.network.encoder.looks
            if not isinstance(looks, Backbone):
                raise BadOption("encoder_weights are of a network of torchvision's or timm's; encoder names none")
            looks.load(encoder_weights)
        return task

    def encoder(self) -> PictureEncoder:
        o = self.options
        if o["inputs"]:
            return PictureEncoder(None, o["inputs"], dropout=o["picture_dropout"])
        learns = o["encoder_training"] == "learning"
        if o["encoder"] != OURS:
            looks = Backbone(o["encoder"])
            features = looks.features(o["size"], o["size"])
            return PictureEncoder(looks, features, learns=learns, dropout=o["picture_dropout"])
        if not learns:
            raise BadOption("encoder_training=frozen is for an encoder that has learnt; ours is trained from scratch")
        own = Convolutions(BLOCKS if o["blocks"] is None else o["blocks"], o["depth"])
        return PictureEncoder(own, own.output_size, dropout=o["picture_dropout"])

    # ------------------------------------------------------------------ numbers

    def encode(self, example: Any) -> Encoded:
        source = self._source(example)
        target, said = self.said(example)
        places = self._places or tuple(str(place + 1) for place in range(len(source)))
        return Encoded(source, target, places, said, None)

    def _source(self, example: Captioned) -> NDArray[Any]:
        """Pixels of the model's size, (size, size, 3), or features, (places, features)."""
        try:
            image = as_image(example.image)
        except BadData as error:
            raise example.problem(error.problem) from None
        inputs, size = self.options["inputs"], self.options["size"]
        if image.ndim == 3:
            if inputs:
                raise example.problem("a picture, where this model reads stored features")
            return sized(image, size, size)
        if not inputs:
            raise example.problem("stored features, where this model reads pictures")
        if image.shape[1] != inputs:
            raise example.problem(f"{image.shape[1]} features of a place; training had {inputs}")
        return image

    def packed_sources(self, rows: Sequence[Encoded]) -> Any:
        if not self.options["inputs"]:
            return torch.from_numpy(np.stack([row.source for row in rows]))
        order, rank, place, sizes = packing([len(row.source) for row in rows])
        return packed(np.concatenate([row.source for row in rows])[place], order, rank, sizes)

    def feed(self, examples: Sequence[Any], *, elements: int, rows: int, seed: int) -> Feed:
        if self.options["inputs"]:
            return super().feed(examples, elements=elements, rows=rows, seed=seed)
        how = {name: self.options[name] for name in ("shifted", "mirrored")}
        return Moved([self.encode(example) for example in examples], **how, elements=elements, rows=rows, seed=seed)

    def source_tokens(self, example: Captioned) -> list[str]:
        return list(self.encode(example).tokens)

    def target_text(self, example: Captioned) -> str | None:
        return example.caption

    # ------------------------------------------------------------------ predictions

    def score(self, predicted: Sequence[Captioned], gold: Sequence[Captioned]) -> dict[str, float]:
        """`word_f1`, which decides which weights are best, and `exact_match`; `bleu` and `chrf` (0 to 100); `cider` (0
        to 10); `perplexity` of the gold captions. Of a picture any of its captions counts.
        """
        for example in gold:
            _must_have_caption(example)
        said, right = [self._cased(e.caption) for e in predicted], [self._cased(e.caption) for e in gold]
        pictures = [example.content for example in gold]
        references, guessed = references_of(pictures, right), dict(zip(reversed(pictures), reversed(said), strict=True))
        every = list(references.values()), [guessed[picture] for picture in references]
        texts = translation_scores(*every, case=self.options["case"])
        return {
            "word_f1": word_f1(*every),
            "exact_match": 1 - sequence_error_rate(*every),
            "bleu": texts.bleu,
            "chrf": texts.chrf,
            "cider": cider(*every),
            "perplexity": self.perplexity(gold),
        }

    def signatures(self) -> dict[str, str]:
        found = translation_scores(["a"], ["a"], case=self.options["case"])
        return {"bleu": found.bleu_signature, "chrf": found.chrf_signature}

    def _cased(self, text: str | None) -> str:
        return (text or "").lower() if self.options["case"] == "lower" else text or ""

    def pictures(self, examples: Sequence[Any]) -> list[tuple[NDArray[np.uint8], tuple[int, int]] | None]:
        """What the places that `align` names are places of: of each example the picture as it is read, (size, size, 3),
        and the rows and columns of the grid over it; None for features, of which nobody knows where they were.
        """
        if self.options["inputs"]:
            return [None] * len(examples)
        return [(self._source(self.read(example)), self.grid) for example in examples]

    def is_one(self, raw: Any) -> bool:
        if isinstance(raw, np.ndarray):
            return raw.ndim <= (2 if self.options["inputs"] else 3)
        return isinstance(raw, (str, Path, Captioned)) or of_pillow(raw)

    def read(self, raw: Any) -> Captioned:
        """Of an array, nested lists, a picture of Pillow's, or the path of a file, a `Path`."""
        if isinstance(raw, Captioned):
            return raw
        if isinstance(raw, Path):
            return Captioned(image=seen(raw))
        if isinstance(raw, str):  # who serves a model to others is not to open files by names that these send
            raise BadData(f"a text, {raw[:40]!r}, where a picture is expected: an array, or a pathlib.Path to a file")
        return Captioned(image=as_image(raw))


def _must_have_caption(example: Captioned) -> None:
    if example.caption is None:
        raise example.problem("a picture without a caption")
