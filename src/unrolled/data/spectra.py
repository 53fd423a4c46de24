"""Sound to features: a spectrum each few milliseconds, as ears hear it.

    samples ──► frames of 25 ms, one each `shift` ms ──► power spectrum ──► bands of equal width in mel ──► logarithm
                                                                     `mfcc`: a cosine transform of these ◄──┘

By kaldi-native-fbank, whose numbers are those of Kaldi's `compute-fbank-feats` and `compute-mfcc-feats` without dither,
of samples of 16 bits. A whole recording and the pieces in which it comes have the same features. A recording of another
rate than the model's is resampled (by a polyphase filter, SciPy's).
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from unrolled.errors import BadData, BadOption, MissingExtra, UnknownName

Kind = Literal["mel", "mfcc"]
FRAME = 25.0
"""Milliseconds that a frame is long."""
FULL_SCALE = 32768.0
"""What a sample of 1 is in 16 bits."""
_REMEMBERED: dict[int, dict[tuple[Spectra, float | None], NDArray[np.float32]]] = {}
"""Features by the identity of an array of samples; an entry goes with its array."""


@dataclass(frozen=True)
class Spectra:
    """What features are computed.

    Attributes:
        kind: logarithms of `mel` bands, or their cosine transform, `mfcc`.
        rate: samples a second.
        bands: how many, and features a frame.
        shift: milliseconds from one frame to the next.

    Raises `UnknownName` and `BadOption` for what cannot be.
    """

    kind: Kind
    rate: float
    bands: int = 40
    shift: float = 10.0

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise UnknownName("kind of features of sound", self.kind, get_args(Kind))
        if not 1000 <= self.rate <= 1e6 or self.rate != int(self.rate):
            raise BadOption(f"rate must be a whole number of samples a second, 1000 or more, not {self.rate:g}")
        if not 3 <= self.bands <= 128:
            raise BadOption(f"bands must be in [3, 128], not {self.bands}")
        if not 1 <= self.shift <= FRAME:
            raise BadOption(f"frame_shift must be in [1, {FRAME:g}] milliseconds, not {self.shift:g}")

    @property
    def shortest(self) -> int:
        """Samples of a frame."""
        return int(self.rate * FRAME / 1000)

    @property
    def stride(self) -> int:
        """Samples from the beginning of a frame to that of the next."""
        return int(self.rate * 0.001 * self.shift)

    def seconds(self, frames: int) -> float:
        """How long so many frames are."""
        return ((frames - 1) * self.stride + self.shortest) / self.rate

    def of(self, samples: NDArray[Any], rate: float | None = None) -> NDArray[np.float32]:
        """The features of a recording, (frames, bands).

        Args:
            samples: (samples,) or (samples, channels), which are mixed; in [-1, 1], or whole numbers of 16 bits.
            rate: of the recording; None: that of the model.

        Raises:
            BadData: it is shorter than a frame, or holds what is no number.
            MissingExtra: kaldi-native-fbank is not installed.
        """
        heard = self.resampled(mixed(samples), rate)
        if len(heard) < self.shortest:
            milliseconds = 1000 * len(heard) / self.rate
            raise BadData(f"a recording of {milliseconds:.1f} ms: a frame has {FRAME:g}")
        ear = Ear(self)
        found = [*ear.hear(heard), *ear.finish()]
        return np.stack(found)

    def remembered(self, samples: NDArray[Any], rate: float | None = None) -> NDArray[np.float32]:
        """As `of`, computed once for as long as the array of samples is there, whose numbers must not change: for
        recordings of files, which a training asks for their scale, to learn from them, and at each check.
        """
        key = id(samples)
        if key not in _REMEMBERED:
            _REMEMBERED[key] = {}
            weakref.finalize(samples, _REMEMBERED.pop, key, None).atexit = False
        known = _REMEMBERED[key]
        if (self, rate) not in known:
            known[self, rate] = self.of(samples, rate)
        return known[self, rate]

    def resampled(self, samples: NDArray[np.float32], rate: float | None) -> NDArray[np.float32]:
        """A whole recording at the model's rate."""
        if rate is None or rate == self.rate:
            return samples
        from scipy.signal import resample_poly

        ratio = Fraction(int(self.rate), max(int(rate), 1))
        found: NDArray[np.float32] = resample_poly(samples, ratio.numerator, ratio.denominator).astype(np.float32)
        return found


class Ear:
    """Hears a recording piece by piece, and has each frame's features as soon as its last sample is there.

    Raises `MissingExtra` where kaldi-native-fbank is not installed.
    """

    def __init__(self, spectra: Spectra) -> None:
        try:
            import kaldi_native_fbank as native
        except ImportError:
            raise MissingExtra("kaldi-native-fbank", extra="sound", need="hearing sound") from None
        options: Any = native.FbankOptions() if spectra.kind == "mel" else native.MfccOptions()
        options.frame_opts.dither = 0.0
        options.frame_opts.samp_freq = spectra.rate
        options.frame_opts.frame_length_ms = FRAME
        options.frame_opts.frame_shift_ms = spectra.shift
        options.mel_opts.num_bins = spectra.bands
        options.mel_opts.high_freq = 0.0  # up to half the rate
        if spectra.kind == "mfcc":
            options.num_ceps = spectra.bands
        self._rate, self._given = spectra.rate, 0
        self._features = (native.OnlineFbank if spectra.kind == "mel" else native.OnlineMfcc)(options)

    def hear(self, samples: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """The features of the frames that are complete now, (bands,) each. samples: (samples,), in [-1, 1]."""
        self._features.accept_waveform(self._rate, samples * np.float32(FULL_SCALE))
        return self._ready()

    def finish(self) -> list[NDArray[np.float32]]:
        """Those that are left when the recording ends; what is shorter than a frame has none."""
        self._features.input_finished()
        return self._ready()

    def _ready(self) -> list[NDArray[np.float32]]:
        first, self._given = self._given, self._features.num_frames_ready
        found = [np.array(self._features.get_frame(k), dtype=np.float32) for k in range(first, self._given)]
        self._features.pop(len(found))  # numbers go on; without this a stream would fill the memory
        return found


def mixed(samples: NDArray[Any]) -> NDArray[np.float32]:
    """One channel in [-1, 1] of what a recording may be. Raises `BadData` for what are no samples."""
    found = np.asarray(samples)
    if found.ndim not in (1, 2) or found.dtype.kind not in "fi" or not found.size:
        raise BadData(f"an array of {found.dtype}, shape {found.shape}: samples, or samples of channels, are expected")
    if found.dtype.kind == "i":
        if found.dtype.itemsize > 2:
            raise BadData(f"samples of {found.dtype}: numbers in [-1, 1] or whole numbers of 16 bits are expected")
        found = found / FULL_SCALE
    elif not np.isfinite(found).all():
        raise BadData(f"sample {int((~np.isfinite(found)).reshape(len(found), -1).any(1).argmax()) + 1} is no number")
    return np.ascontiguousarray(found if found.ndim == 1 else found.mean(axis=1), dtype=np.float32)
