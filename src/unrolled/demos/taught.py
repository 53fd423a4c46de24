"""What all demos do: put the parts of their data into files, train on them, and hand over what is to be shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unrolled.api import Finished, train
from unrolled.data import reading
from unrolled.data.examples import Example
from unrolled.errors import CannotWrite
from unrolled.recipe import build
from unrolled.training.events import Event


@dataclass(frozen=True)
class Shown:
    """The end of a demo: held-out figures, and what the model makes of a few inputs of our own.

    folder: the model's; held_out: the file that was measured on; pictures: files.
    """

    folder: str
    evaluation: dict[str, Any]
    predictions: list[Any]
    held_out: str
    pictures: tuple[str, ...] = ()


def taught(
    task: str, parts: Mapping[str, Sequence[Example]], output: Path, minutes: float, seed: int, **options: Any
) -> Iterator[Event | Finished]:
    """Write `data/NAME.tsv` in the output folder for each part, and train; the last event is `Finished`.

    Raises `CannotWrite` where the folder cannot be written.
    """
    data = output / "data"
    recipe = build(task, data, options, output=output, seed=seed, minutes=minutes)
    try:
        data.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotWrite(f"cannot write into {output}: {error.strerror or error}") from None
    for name, part in parts.items():
        reading.write(data / f"{name}.tsv", part)
    yield from train(recipe, overwrite=True)
