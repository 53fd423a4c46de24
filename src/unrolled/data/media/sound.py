"""Sound: WAV, FLAC, Ogg and what else libsndfile reads, a step a sample, a feature a channel, in [-1, 1].

The file's own size is looked at: libsndfile takes a WAV file that was cut off for a shorter one, and says nothing.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import ClassVar

from unrolled.data.media.base import Medium, Recorded
from unrolled.errors import BadData, MissingExtra

UNKNOWN_SIZES = (0, 0xFFFFFFFF)
"""What stands for the size of samples where it was not known when writing began."""


class Sound(Medium):
    """One recording."""

    suffixes: ClassVar[tuple[str, ...]] = (".wav", ".flac", ".ogg", ".aiff", ".aif")

    def read(self, path: Path) -> Recorded:
        try:
            import soundfile
        except ImportError:
            raise MissingExtra("soundfile", extra="sound", need="reading sound") from None
        try:
            with soundfile.SoundFile(path) as file:
                told, rate = file.frames, file.samplerate
                values = file.read(dtype="float32", always_2d=True)
        except (soundfile.SoundFileError, RuntimeError, OSError, TypeError, ValueError) as error:
            raise BadData(f"not a sound file that can be read: {_reason(error)}", path) from None
        if path.suffix.lower() == ".wav":
            _must_be_whole(path)
        if len(values) != told:
            raise BadData(f"the file is truncated: {len(values):,} samples where it says {told:,}", path)
        if not len(values):
            raise BadData("the recording holds no samples", path)
        return Recorded(values, float(rate))


def _must_be_whole(path: Path) -> None:
    """Raise `BadData` where a RIFF file ends before its samples do."""
    size = path.stat().st_size
    with path.open("rb") as file:
        if file.read(4) != b"RIFF":
            return
        file.seek(12)
        while len(head := file.read(8)) == 8:
            name, length = struct.unpack("<4sI", head)
            if name == b"data":
                there = size - file.tell()
                if length not in UNKNOWN_SIZES and there < length:
                    raise BadData(f"the file is truncated: {there:,} bytes of samples where it says {length:,}", path)
                return
            file.seek(length + length % 2, 1)


def _reason(error: BaseException) -> str:
    """What libsndfile says, without the path, which stands before it."""
    return str(error).rpartition(": ")[2].rstrip(".") or type(error).__name__
