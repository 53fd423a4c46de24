"""Speech: what was said, and when.

A transcriber hears a recording, ten milliseconds at a time, and writes down what is said. When each sound was said
nobody tells it: it learns from the recording and its transcript alone, by summing over all the ways in which the one
can be laid along the other (connectionist temporal classification, Graves et al. 2006).

The speaker here is a formula: pulses of a voice, sent through the resonances of a mouth (Peterson & Barney's formants
of five vowels, 1952), each time with another pitch, speed and loudness. It says words of three to six vowels. With
real recordings it is the same: `unrolled train transcriber --data calls.csv --set values=path` reads WAV, FLAC and
Ogg.

In the picture is the sound, its frequencies in time, and above it how likely each vowel was taken to begin.
"""

import matplotlib.pyplot as plt
import numpy as np
import soundfile
import torch
from scipy.signal import lfilter

from unrolled import Transcriber
from unrolled.data.examples import Speech

RATE = 8000
FORMANTS = {"i": (270, 2290), "e": (530, 1840), "a": (730, 1090), "o": (570, 840), "u": (300, 870)}
rng = np.random.default_rng(1)


def vowel(letter: str, pitch: float, seconds: float) -> np.ndarray:
    """Pulses through two resonances, louder and softer again."""
    samples = int(seconds * RATE)
    phase = np.cumsum(np.full(samples, pitch / RATE) * (1 + 0.02 * rng.standard_normal(samples)))
    sound = np.diff(np.floor(phase), prepend=0.0)
    for formant in FORMANTS[letter]:
        radius, angle = np.exp(-np.pi * 90 / RATE), 2 * np.pi * formant * rng.uniform(0.95, 1.05) / RATE
        sound = lfilter([1 - radius], [1, -2 * radius * np.cos(angle), radius**2], sound)
    return sound * np.hanning(samples) ** 0.3


def said() -> Speech:
    """A word, and how somebody says it."""
    letters = [str(letter) for letter in rng.choice(list(FORMANTS), rng.integers(3, 7))]
    pitch, speed = rng.uniform(90, 220), rng.uniform(0.07, 0.14)
    quiet = np.zeros(int(0.05 * RATE))
    sound = np.concatenate([quiet, *(vowel(letter, pitch, speed * rng.uniform(0.8, 1.2)) for letter in letters), quiet])
    sound = sound / np.abs(sound).max() * rng.uniform(0.2, 0.8) + 0.003 * rng.standard_normal(len(sound))
    return Speech(values=sound.astype(np.float32)[:, None], transcript="".join(letters), rate=float(RATE))


recordings = [said() for _ in range(460)]
train, valid, test = recordings[:400], recordings[400:420], recordings[420:]
transcriber = Transcriber(hidden_size=32, layers=1, stacked=2, dropout=0.1)
transcriber.fit(train, valid, epochs=12, checks=2, learning_rate=1e-2)
figures = transcriber.evaluate(test)["metrics"]
print(f"on {len(test)} recordings that it never heard")
print(f"  vowels wrong, of those said   {figures['symbol_error_rate']:6.1%}")
print(f"  words with a mistake          {figures['sequence_error_rate']:6.1%}")

example = max(test, key=lambda one: len(set(one.transcript or "")))
heard = transcriber.predict(example)
print(f"it heard {heard.transcript!r} where {example.transcript!r} was said")
soundfile.write("speech.wav", example.values, RATE, subtype="PCM_16")

task = transcriber.task
encoded = task.encode(example)
with torch.no_grad(), task.evaluating():
    batch = task.collate([encoded])
    steps = [task.says(batch, place)[0][0].exp() for place in range(-encoded.length, 0)]
names = task.says(batch)[1]
figure, (above, below) = plt.subplots(2, 1, figsize=(9, 4.5), sharex=True, layout="constrained")
seconds = np.linspace(0, len(example.values) / RATE, len(steps))
for k, name in enumerate(names[:-1]):
    above.plot(seconds, [float(step[k]) for step in steps], label=name)
above.legend(ncols=5, fontsize=8, loc="upper right")
above.set_ylim(0, 1.3)
above.set_ylabel("probability")
above.set_title(f"when each vowel of {example.transcript!r} was heard", fontsize=10)
below.specgram(example.values[:, 0], NFFT=256, Fs=RATE, noverlap=192, cmap="Greys")
below.set_xlabel("seconds")
below.set_ylabel("Hz")
figure.savefig("speech.png", dpi=90)

assert figures["symbol_error_rate"] < 0.1
