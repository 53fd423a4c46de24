"""Music: tunes that go on.

A composer reads a piece as a roll, which notes sound at each step, and learns which follow. The tunes here are made by
a rule that it has to find: four chords, in any key, below a melody that mostly takes its notes from the chord. It is
told nothing of chords or keys; that notes sound together is learnt by letting each note of a step hear those below it.

The figure is the negative log-likelihood in nats a step: how surprising the notes of the next step are, all 88 keys of
a piano counted. Beside it stands what is known without any memory, how frequent each note is.

At last it goes on with the first bars of a tune that it never saw, in that tune's key. In the picture what was given
is grey. With real music it is the same: `unrolled train composer --data FOLDER` reads a folder of MIDI files.
"""

import random
from pathlib import Path

import numpy as np

from unrolled import Composer
from unrolled.data import reading
from unrolled.data.music import Roll, called, roll, scale
from unrolled.inspection.predicted_picture import predicted_png

random.seed(1)
CHORDS = {"I": (0, 4, 7), "vi": (-3, 0, 4), "IV": (-7, -3, 0), "V": (-5, -1, 2)}
BAR = 4


def tune(tonic: int, bars: int = 12) -> Roll:
    """Chords in turn, one a bar; above them a melody of the chord's notes, and now and then of a neighbour."""
    steps = []
    for bar in range(bars):
        chord = [48 + tonic + note for note in list(CHORDS.values())[bar % 4]]
        for beat in range(BAR):
            above = 24 + random.choice(chord) if beat == 0 or random.random() < 0.7 else steps[-1][-1]
            steps.append([*chord, above])
    return Roll(notes=roll(steps), name=f"a tune in {called(60 + tonic)[:-1]} major")


tunes = [tune(tonic) for _ in range(10) for tonic in range(12)]
random.shuffle(tunes)
train, valid, test = tunes[:100], tunes[100:110], tunes[110:]
composer = Composer(hidden_size=100, word_size=64, chord_size=32, dropout=0.1, embedding_dropout=0.1)
composer.fit(train, valid, epochs=50, checks=2, learning_rate=1e-2)

notes = np.concatenate([piece.notes for piece in train])[:, 21:109]
shares = (notes.sum(0) + 0.5) / (len(notes) + 1)
unseen = np.concatenate([piece.notes[1:] for piece in test])[:, 21:109]
frequent = -np.log(np.where(unseen, shares, 1 - shares)).sum(1).mean()
learnt = composer.evaluate(test)["metrics"]["negative_log_likelihood"]
print(f"nats a step, on {len(test)} tunes that it never saw")
print(f"  how frequent each note is   {frequent:6.2f}")
print(f"  what was before             {learnt:6.2f}")

begun = tune(2, bars=5)
goes_on = composer.predict(begun, steps=32, key="D major", temperature=0.5)
reading.write("music.mid", [goes_on])
Path("music.png").write_bytes(predicted_png(composer.task, [begun], steps=32, key="D major", temperature=0.5))

chords = [[48 + 2 + note for note in chord] for chord in CHORDS.values()]
right = sum(set(chords[(20 + step) // BAR % 4]) <= set(pitches) for step, pitches in enumerate(goes_on.following))
print(f"steps of 32 that have the chord which is due: {right}")
allowed = scale("D major")
assert all(allowed[pitch] for pitches in goes_on.following for pitch in pitches)
assert learnt < 0.5 * frequent
assert right >= 16
