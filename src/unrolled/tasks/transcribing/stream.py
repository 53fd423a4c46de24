"""A transcriber that says what it hears while sound comes in pieces, in constant memory.

    bytes ──► samples ──► frames ──► k of them as one ──► recurrences, state carried ──► symbols that are certain

What is said is what the likeliest path of the whole recording says (`beam=1`): each part of the way is the same in
pieces. Samples that belong to a frame that is not whole yet are kept, and frames that wait for others to be read as
one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from unrolled.data.pcm import Samples
from unrolled.data.spectra import Ear
from unrolled.errors import BadOption
from unrolled.state import State
from unrolled.tasks._numbers import NumberReader
from unrolled.tasks._streaming import fingerprint
from unrolled.tasks.base import Streamer
from unrolled.tasks.transcribing.base import Deciding, Transcribing

PARTS = {"model", "bytes", "header", "samples", "frames", "heard", "vectors", "said"}
"""Of a state."""


class SoundStreamer(Streamer):
    """Reads bytes, as `data.pcm.Samples` has them. Answers are `element`, a symbol, and `seconds`, how much sound had
    been heard when it was certain.

    Args:
        task: is put into evaluation mode.
        reader, kind: parts of it.
        how: `symbols_a_step`; it does not search.
        saved: of another one's `state`.

    Raises `BadOption` where what is said needs what comes later, where the numbers that are read are no sound, for a
    search, and where what was saved is no such state, or that of another model.
    """

    hears = True

    def __init__(
        self, task: nn.Module, reader: NumberReader, kind: Transcribing, how: Deciding, saved: State | None
    ) -> None:
        if how.beam != 1:
            raise BadOption(
                f"a stream says the likeliest at each step and does not search: beam must be 1, not {how.beam}"
            )
        if reader.sound is None:
            raise BadOption("a stream is of sound, and this model reads other numbers: train with sound=mel or mfcc")
        reader.must_read_forward()
        task.eval()
        self.task, self.reader, self.kind, self.how = task, reader, kind, how
        self.sound, self.model, self.ear = reader.sound, fingerprint(task), Ear(reader.sound)
        # What is carried from piece to piece; samples are those from where the next frame begins, heard counts steps.
        self.bytes, self.samples = Samples(self.sound.rate), np.zeros(0, dtype=np.float32)
        self.frames, self.heard = np.zeros((0, self.sound.bands), dtype=np.float32), 0
        if saved is None:
            self.vectors, self.listener = reader.initial_state(1), kind.listener(how, None)
        else:
            self._go_on(saved)

    def _go_on(self, saved: State) -> None:
        if not isinstance(saved, dict) or set(saved) != PARTS:
            raise BadOption("this is no state of a stream of sound")
        if not torch.equal(saved["model"], self.model):
            raise BadOption("this is a stream's state of another model: it can go on with its own alone")
        channels, left = saved["header"].tolist()
        if not left:  # a file was heard to its end: what comes now is another one, or samples without a header
            channels, left = 0, -1
        waiting = bytes(saved["bytes"].tolist())
        self.bytes = Samples(self.sound.rate, waiting=waiting, channels=channels, left=left)
        self.samples, self.frames = saved["samples"].numpy(), saved["frames"].numpy()
        if len(self.samples):
            self.ear.hear(self.samples)  # less than a frame: nothing comes of it yet
        self.heard = int(saved["heard"])
        self.vectors, self.listener = saved["vectors"], self.kind.listener(self.how, saved["said"])

    def read(self, piece: bytes) -> Iterator[dict[str, Any]]:
        """Raises `BadData` for a WAV header of what is not expected."""
        self._hear(self.bytes.hear(piece))
        whole = len(self.frames) // self.reader.stacked * self.reader.stacked
        now, self.frames = self.frames[:whole], self.frames[whole:]
        yield from self._said(now)

    def finish(self) -> Iterator[dict[str, Any]]:
        """What is said at the last step, which has fewer frames than others. `state` stays the one before the end, as
        if more were to come: who goes on from there may hear these answers again.
        """
        last = SoundStreamer(self.task, self.reader, self.kind, self.how, self.state)
        last._hear(last.bytes.finish())
        yield from last._said(last.frames)

    @property
    def state(self) -> State:
        return {
            "model": self.model,
            "bytes": torch.from_numpy(np.frombuffer(self.bytes.waiting, dtype=np.uint8).copy()),
            "header": torch.tensor([self.bytes.channels, self.bytes.left]),
            "samples": torch.from_numpy(self.samples),
            "frames": torch.from_numpy(self.frames),
            "heard": torch.tensor([self.heard]),
            "vectors": self.vectors,
            "said": self.listener.state,
        }

    def _hear(self, samples: NDArray[np.float32]) -> None:
        if len(samples):
            found = self.ear.hear(samples)
            self.samples = np.concatenate([self.samples, samples])[len(found) * self.sound.stride :]
            self.frames = np.concatenate([self.frames, *(frame[None] for frame in found)])

    @torch.no_grad()
    def _said(self, frames: NDArray[np.float32]) -> list[dict[str, Any]]:
        """The answers to frames that are read now."""
        if not len(frames):
            return []
        before = self.heard
        x = self.reader.as_one(self.reader.scaled(frames))
        vectors, self.vectors = self.reader.read_on(x, self.vectors)
        self.heard += len(vectors)
        said = self.listener.hear(vectors)
        symbols = self.kind.symbols.decode([symbol for _, symbol in said])
        ends = [self.sound.seconds((before + step + 1) * self.reader.stacked) for step, _ in said]
        return [{"element": e, "seconds": end} for e, end in zip(symbols, ends, strict=True)]
