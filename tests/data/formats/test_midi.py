"""MIDI: notes on a grid, by hand; and what is no music."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import mido
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unrolled.data import reading, splits
from unrolled.data.examples import LabelledText, Origin, Passage
from unrolled.data.formats.midi import MIDI
from unrolled.data.formats.tsv import TSV
from unrolled.data.music import FINEST, PITCHES, Roll, roll
from unrolled.errors import BadData, BadOption

TICKS = 96


def file(*tracks: list[Any], ticks: int = TICKS) -> bytes:
    """Of tracks, each a list of (message type, what it holds)."""
    made = mido.MidiFile(type=1, ticks_per_beat=ticks)
    for messages in tracks:
        track = mido.MidiTrack()
        for kind, fields in messages:
            track.append((mido.Message if kind.startswith("note") else mido.MetaMessage)(kind, **fields))
        made.tracks.append(track)
    content = io.BytesIO()
    made.save(file=content)
    return content.getvalue()


def on(pitch: int, wait: int = 0, **more: Any) -> tuple[str, dict[str, Any]]:
    return "note_on", {"note": pitch, "time": wait, "velocity": 64, **more}


def off(pitch: int, wait: int = 0, **more: Any) -> tuple[str, dict[str, Any]]:
    return "note_off", {"note": pitch, "time": wait, **more}


def read(content: bytes, held: type = Roll, division: int = 2) -> Any:
    (found,) = MIDI(held, division=division).read_stream([content], "tune.mid")
    return found


def steps(example: Roll) -> list[list[int]]:
    return [np.flatnonzero(step).tolist() for step in example.notes]


def test_an_eighth_is_a_step_and_a_note_sounds_where_it_fills_half_of_one() -> None:
    content = file([on(60), on(64, 48), off(60, 30), off(64, 20), on(67, 46), off(67, 60)])
    # 60: 0-78 of 48 a step; 64: 48-98; 67: 144-204
    found = read(content)
    assert steps(found) == [[60], [60, 64], [], [67]]
    assert (found.name, found.division, found.tempo, str(found.origin)) == ("tune", 2, 120.0, "tune.mid:1")


def test_a_note_of_no_length_sounds_for_a_step() -> None:
    assert steps(read(file([on(60), off(60), on(62, 48), off(62, 3)]))) == [[60], [62]]


def test_tracks_are_one_and_drums_are_none() -> None:
    content = file(
        [("set_tempo", {"tempo": 1_000_000}), on(60), off(60, 48)],
        [on(40, channel=1), off(40, 96, channel=1)],
        [on(35, channel=9), off(35, 480, channel=9)],
    )
    found = read(content)
    assert steps(found) == [[40, 60], [40]]
    assert found.tempo == 60.0


def test_a_note_on_of_no_velocity_ends_a_note_and_what_has_no_end_lasts_to_the_tracks() -> None:
    content = file([on(60), on(60, 48, velocity=0), on(62), on(64, 48), off(64, 48)])
    assert steps(read(content)) == [[60], [62], [62, 64]]


DIVISIONS = st.sampled_from([1, 2, 3, 4, 7, 12, FINEST])
CHORDS = st.lists(st.integers(0, 127), max_size=3, unique=True).map(sorted)


@given(st.lists(CHORDS, min_size=1, max_size=8).filter(any), DIVISIONS)
@settings(max_examples=60, deadline=None)
def test_a_roll_is_read_again_as_it_was_written(given_steps: list[list[int]], division: int) -> None:
    piece = Roll(notes=roll(given_steps), tempo=96.0, division=division)
    (content,) = MIDI(Roll).write_stream([piece])
    again = read(content, division=division)
    assert steps(again) == given_steps, "a rest at its end, too"
    assert again.division == division
    assert again.tempo == pytest.approx(96.0, rel=1e-5)


def as_events(notes: list[tuple[int, int, int]], rest: int) -> str:
    """What happens in (beginning, steps, pitch)s with a rest behind them, word by word."""
    end = max(begin + length for begin, length, _ in notes) + rest
    words, passed = [], 0
    for step in range(end + 1):
        ends = sorted(pitch for begin, length, pitch in notes if begin + length == step)
        begins = sorted(pitch for begin, _, pitch in notes if begin == step)
        if ends or begins or step == end:
            words += [f">{min(16, step - at)}" for at in range(passed, step, 16)]
            words += [f"-{pitch}" for pitch in ends] + [f"+{pitch}" for pitch in begins]
            passed = step
    return " ".join(words)


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(1, 20), st.integers(0, 127)), min_size=1, max_size=8),
    st.integers(0, 40),
    DIVISIONS,
)
@settings(max_examples=100, deadline=None)
def test_events_are_read_again_as_they_were_written(
    notes: list[tuple[int, int, int]], rest: int, division: int
) -> None:
    text = as_events(notes, rest)
    (content,) = MIDI(Passage, division=division).write_stream([Passage(text=text)])
    assert read(content, Passage, division).text == text


def test_a_step_is_as_long_in_the_file_whatever_its_events_are_counted_in() -> None:
    written = {
        division: b"".join(MIDI(Passage, division=division).write_stream([Passage(text=f"+60 >{division} -60")]))
        for division in (1, 2, 3, 4, 12)
    }
    assert len(set(written.values())) == 1, "a quarter note"
    assert [read(written[1], division=division).notes.sum() for division in written] == list(written)


def test_what_lies_off_the_grid_is_rounded_to_the_nearest_step_half_of_one_up() -> None:
    sixteenths = roll([[60], [62], [64], [65], [67], [67], [67], []])
    (content,) = MIDI(Roll).write_stream([Roll(notes=sixteenths, division=4)])
    assert steps(read(content, division=4)) == [[60], [62], [64], [65], [67], [67], [67], []]
    # In eighths the sixteenths 0, 1, 2, 3, 4, 7 and 8 are 0, 1, 1, 2, 2, 4 and 4, and no note is shorter than one.
    assert steps(read(content)) == [[60], [62, 64], [65, 67], [67]]
    assert read(content, Passage).text == "+60 >1 -60 +62 +64 >1 -62 -64 +65 +67 >1 -65 >1 -67"


def test_triplets_and_sixteenths_are_kept_by_a_grid_that_has_both() -> None:
    content = file(
        [on(60), off(60, 32), on(62), off(62, 32), on(64), off(64, 32), on(65), off(65, 24), on(67), off(67, 72)]
    )
    assert read(content, Passage, 12).text == "+60 >4 -60 +62 >4 -62 +64 >4 -64 +65 >3 -65 +67 >9 -67"


def test_a_piece_ends_with_the_last_track_of_its_notes() -> None:
    end = ("end_of_track", {"time": 96})
    longer = ("end_of_track", {"time": 9600})
    content = file([("set_tempo", {"tempo": 500_000}), longer], [on(60), off(60, 48), end], [on(35, channel=9), longer])
    assert steps(read(content)) == [[60], [], []]
    assert read(content, Passage).text == "+60 >1 -60 >2"


@pytest.mark.parametrize("division", [0, -4, FINEST + 1, 10**9])
def test_a_grid_that_is_none_is_refused(division: int) -> None:
    for kind in (Roll, Passage):
        with pytest.raises(BadOption, match=rf"division is steps of a quarter note, 1 to 96, not {division}"):
            MIDI(kind, division=division)
    with pytest.raises(BadData, match=rf"{division} steps of a quarter note: 1 to 96 can be written"):
        list(MIDI(Roll).write_stream([Roll(notes=roll([[60]]), division=division)]))


def test_only_music_has_quarter_notes() -> None:
    with pytest.raises(BadOption, match="division=4 is of music; texts with labels have no quarter notes"):
        TSV(LabelledText, division=4)


def test_what_was_made_up_is_written_behind_what_was_given() -> None:
    piece = Roll(notes=roll([[60], [60]]), following=((60, 64), (), (67,)))
    (content,) = MIDI(Roll).write_stream([piece])
    assert steps(read(content)) == [[60], [60], [60, 64], [], [67]]
    notes = [(m.type, m.note) for m in mido.MidiFile(file=io.BytesIO(content)).tracks[0] if not m.is_meta]
    assert notes.count(("note_on", 60)) == 1, "a pitch that goes on is held"


def test_events_keep_strokes_that_a_roll_joins() -> None:
    content = file([on(60), off(60, 48), on(60), off(60, 96), on(62, 48 * 20), off(62, 48)])
    found = read(content, Passage)
    assert found.text == "+60 >1 -60 +60 >2 -60 >16 >4 +62 >1 -62"
    (again,) = MIDI(Passage).write_stream([found])
    assert read(again, Passage).text == found.text


def test_events_as_a_model_may_say_them_are_music() -> None:
    (content,) = MIDI(Passage).write_stream([Passage(text="-60 +60 >2 -62 +64 >1")])
    assert steps(read(content)) == [[60], [60], [60, 64]]


def test_events_that_end_within_a_note_are_a_whole_file() -> None:
    (content,) = MIDI(Passage).write_stream([Passage(text="+60 >2 -60 +62 +65 >1 -65 >2 +67")])
    assert read(content, Passage).text == "+60 >2 -60 +62 +65 >1 -65 >2 -62 +67 >1 -67"


def test_what_probably_comes_next_has_no_place_in_a_file(tmp_path: Path) -> None:
    filled = Passage(text="+60 >2 -60", following=(("+62", 0.5), (">2", 0.25)))
    target = tmp_path / "out.mid"
    with pytest.raises(BadData, match=r"out.mid: a MIDI file has no place for .* `unrolled generate MODEL .*--output"):
        reading.write(target, [filled])
    with pytest.raises(BadData, match="no place for what probably comes next"):
        reading.write(target, [Passage(text="+60 >2 -60"), filled])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["", ">2", "-60 >4 -62"])
def test_events_without_a_note_are_no_piece(text: str) -> None:
    with pytest.raises(BadData, match="no note begins in these events"):
        list(MIDI(Passage).write_stream([Passage(text=text)]))


@pytest.mark.parametrize("text", ["+60 hello", "+128", "60", "> 2", "+٣", "+-5", "+60 >99999"])
def test_what_is_no_event_is_named(text: str) -> None:
    with pytest.raises(BadData, match=r"a.txt:3: '.*' where an event such as \+60, -60 or >2 is expected"):
        list(MIDI(Passage).write_stream([Passage(text=text, origin=Origin("a.txt", 3))]))


BARS = file([on(60), off(60, 48)])


def in_no_key(content: bytes) -> bytes:
    """The same with a key of nine sharps, which is none, at the beginning of its track."""
    key, track = b"\x00\xff\x59\x02\x09\x00", content.index(b"MTrk")
    size = int.from_bytes(content[track + 4 : track + 8], "big") + len(key)
    return content[: track + 4] + size.to_bytes(4, "big") + key + content[track + 8 :]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"RIFF....WAVE", "not a MIDI file that can be read"),
        (b"<html>", "not a MIDI file that can be read"),
        (BARS[:20], "not a MIDI file that can be read"),
        (BARS[:-6], "not a MIDI file that can be read"),
        (file([("set_tempo", {"tempo": 500_000})]), "the file holds no notes"),
        (file([on(35, channel=9), off(35, 48, channel=9)]), r"the file holds no notes but those of drums \(chann"),
        (file(), "the file holds no notes: a piece has one at least"),
        (file([on(60), off(60, 2**27)], ticks=1), "a piece of .* steps: 1,048,576 at most are read"),
        (BARS[:12] + b"\xe7\x28" + BARS[14:], "its time is in frames of a film"),
        (in_no_key(BARS), "not a MIDI file that can be read: Could not decode key with 9 sharps"),
        (BARS[:12] + b"\x00\x00" + BARS[14:], "its time is in frames of a film"),
    ],
)
def test_what_is_no_piece_is_named(content: bytes, message: str) -> None:
    with pytest.raises(BadData, match=f"^tune.mid: {message}"):
        read(content)


@given(st.binary(max_size=60), st.integers(0, len(BARS) - 1))
@settings(max_examples=60, deadline=None)
def test_bytes_that_harm_a_file_are_an_error_or_other_notes_and_nothing_else(put: bytes, place: int) -> None:
    try:
        assert read(BARS[:place] + put + BARS[place + len(put) :]).notes.any()
    except BadData as error:
        assert error.path == "tune.mid"  # noqa: PT017


def test_several_pieces_are_not_written_into_one_file() -> None:
    piece = Roll(notes=roll([[60]]))
    with pytest.raises(BadData, match="a MIDI file holds one piece, not 2; write rolls instead"):
        list(MIDI(Roll).write_stream([piece, piece]))
    events = Passage(text="+60 >2 -60")
    with pytest.raises(BadData, match="one piece, not 2; write text instead, or one sample that ends with its line"):
        list(MIDI(Passage).write_stream([events, events]))


def test_a_midi_file_holds_no_labels() -> None:
    with pytest.raises(BadOption, match="the format midi holds music or texts, not texts with labels"):
        MIDI(LabelledText)


def tunes(folder: Path, *named: str) -> None:
    folder.mkdir(parents=True)
    for number, name in enumerate(named):
        reading.write(folder / name, [Roll(notes=roll([[60 + number], [62 + number]]))])


def test_a_folder_of_files_is_read_as_one_in_the_order_of_their_names(tmp_path: Path) -> None:
    tunes(tmp_path / "all", "b.mid", "a.midi", "c.mid")
    (tmp_path / "all" / "notes.txt").write_text("no music")
    found = reading.read(tmp_path / "all", Roll)
    assert [example.name for example in found] == ["a", "b", "c"]
    assert [steps(example)[0] for example in found] == [[61], [60], [62]]
    assert splits.load(tmp_path / "all", Roll, seed=1).test is not None


def test_a_folder_holds_a_folder_for_each_split(tmp_path: Path) -> None:
    tunes(tmp_path / "train", "a.mid", "b.mid")
    tunes(tmp_path / "valid", "c.mid")
    tunes(tmp_path / "test", "d.mid")
    found = splits.find(tmp_path, example_type=Roll)
    assert found == splits.Paths(tmp_path / "train", tmp_path / "valid", tmp_path / "test")
    loaded = splits.load(tmp_path, Roll, seed=1)
    assert [one.name for one in (*loaded.train, *loaded.valid)] == ["a", "b", "c"]


def test_a_folder_without_music_is_no_split(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "readme.txt").write_text("x")
    with pytest.raises(BadData, match="no training split"):
        splits.find(tmp_path, example_type=Roll)


def test_all_pitches_have_a_place() -> None:
    piece = Roll(notes=np.ones((1, PITCHES), dtype=bool))
    (content,) = MIDI(Roll).write_stream([piece])
    assert read(content) == Roll(notes=piece.notes, name="tune")
