"""Bytes to samples: with and without a header, however they are parted, and what is no such sound."""

from __future__ import annotations

import io
import struct
import wave
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from unrolled.data.pcm import Samples
from unrolled.errors import BadData

RATE = 8000


def noise(samples: int, channels: int = 1) -> np.ndarray:
    found: np.ndarray = np.random.default_rng(1).integers(-32768, 32768, (samples, channels)).astype("<i2")
    return found


def wav(samples: np.ndarray, rate: int = RATE, behind: bytes = b"") -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setnchannels(samples.shape[1])
        written.setsampwidth(2)
        written.setframerate(rate)
        written.writeframes(samples.tobytes())
    return file.getvalue() + behind


def heard(given: bytes, cuts: list[int] | None = None) -> np.ndarray:
    found, one = [], Samples(RATE)
    for begin, end in pairwise([0, *sorted(min(cut, len(given)) for cut in cuts or []), len(given)]):
        found.append(one.hear(given[begin:end]))
        # Whatever is between two pieces can be kept, and gone on from.
        one = Samples(RATE, waiting=one.waiting, channels=one.channels, left=one.left)
    return np.concatenate([*found, one.finish()])


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 60),
    st.sampled_from(["raw", "mono", "stereo", "notes"]),
    st.lists(st.integers(0, 300), max_size=8),
)
def test_however_bytes_are_parted_the_samples_are_the_same(samples: int, kind: str, cuts: list[int]) -> None:
    assume(samples or kind != "notes")  # a length of 0 says, in a header written before the sound, that none is known
    values = noise(samples, 2 if kind == "stereo" else 1)
    given_ = (
        values.tobytes() if kind == "raw" else wav(values, behind=b"LIST\x04\0\0\0odd!" if kind == "notes" else b"")
    )
    found = heard(given_, cuts)
    assert found.dtype == np.float32
    assert np.array_equal(found, (values / 32768).mean(axis=1).astype(np.float32))


def test_byte_by_byte_each_sample_comes_with_its_second_byte() -> None:
    one = Samples(RATE)
    values = noise(5)
    assert [len(one.hear(bytes([byte]))) for byte in values.tobytes()] == [0, 1] * 5
    assert one.waiting == b""


def test_half_a_sample_at_the_end_is_dropped() -> None:
    values = noise(7)
    assert np.array_equal(heard(values.tobytes() + b"\x01"), (values[:, 0] / 32768).astype(np.float32))


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 1 << 30])
def test_a_header_that_was_written_before_the_sound_was_known_has_no_end(size: int) -> None:
    values = noise(9)
    given_ = bytearray(wav(values))
    given_[40:44] = struct.pack("<I", size)
    assert len(heard(bytes(given_))) == 9


def test_samples_whose_kind_is_said_further_on_and_other_chunks_are_read() -> None:
    values = noise(9)
    form = struct.pack("<HHIIHHHHIH14s", 0xFFFE, 1, RATE, 2 * RATE, 2, 16, 22, 16, 4, 1, bytes(14))
    body = b"JUNK\x03\0\0\0abc\0" + b"fmt " + struct.pack("<I", len(form)) + form + b"data\x12\0\0\0" + values.tobytes()
    given_ = b"RIFF" + struct.pack("<I", len(body) + 4) + b"WAVE" + body
    for cuts in ([], [3, 9, 14, 22, 30, 41, 60]):
        assert np.array_equal(heard(given_, cuts), (values[:, 0] / 32768).astype(np.float32))


def test_what_only_begins_as_a_header_is_sound() -> None:
    assert len(heard(b"RIFF")) == 2
    assert len(heard(b"RIFFabcdWAV!")) == 6


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        (wav(noise(3), rate=16_000), r"16,000 samples a second where the model hears 8,000: convert it on the way"),
        (wav(noise(3))[:30], r"the sound ends within its WAV header"),
        (wav(noise(3)).replace(b"fmt ", b"fmt_"), r"a WAV header that does not say what its samples are"),
        (b"RIFF\0\0\0\0WAVEfmt \x02\0\0\0\x01\0", r"a WAV header that does not say what its samples are"),
        (b"RIFF\0\0\0\0WAVEJUNK\xff\xff\xff\x7f", r"a WAV header of more than 1,048,576 bytes"),
        (wav(noise(3))[:34] + b"\x08\0" + b"data\0\0\0\0", r"samples of 8 bits, kind 1, where plain ones of 16 bits"),
        (wav(noise(3))[:20] + b"\x03\0" + wav(noise(3))[22:], r"samples of 16 bits, kind 3, where plain ones of 16"),
    ],
)
def test_what_is_no_such_sound_is_named(given_: bytes, message: str) -> None:
    with pytest.raises(BadData, match=rf"^standard input: {message}"):
        heard(given_)
    with pytest.raises(BadData, match=rf"^standard input: {message}"):
        heard(given_, list(range(len(given_))))
