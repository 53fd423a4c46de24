"""Numbers on the disk: made in one go or in many, they are the same bytes; what is damaged is made anew."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import pytest

from unrolled.data import cache, token_file
from unrolled.data.examples import Passage
from unrolled.data.long_text import LongText
from unrolled.data.token_file import TokenFile
from unrolled.errors import BadData, CannotWrite

LINES = [" ".join(str((7 * k + j) % 50) for j in range(k % 6 + 1)) for k in range(40)]
EXPECTED = [int(number) for line in LINES for number in [*line.split(), "50"]]

Make = Callable[..., TokenFile]


def encode(line: Passage) -> np.ndarray:
    return np.array([*map(int, line.text.split()), 50])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "train.txt"
    found.write_text("\n".join(LINES))
    return found


@pytest.fixture
def tokens(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """tokens(**changed): the token file of that text, in a cache of its own."""
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "cache"))

    def make(**changed: Any) -> TokenFile:
        text = changed.pop("text", None) or LongText(path)
        given: dict[str, Any] = {"encode": encode, "symbols": 51, "of": {"vocabulary": 51}, "stretch": 20}
        return TokenFile(text, **{**given, **changed})

    return make


def test_it_holds_the_numbers_of_all_lines(tokens: Make) -> None:
    made = tokens()
    assert list(made.make())[-1] == (40, 40)
    ids = made.ids()
    assert isinstance(ids, np.memmap)
    assert ids.tolist() == EXPECTED
    assert ids.dtype == np.uint16
    assert made.path.stat().st_size == 2 * len(EXPECTED)


def test_progress_counts_lines(tokens: Make) -> None:
    found = list(tokens().make())
    assert len(found) > 5
    assert found == sorted(set(found))
    assert all(total == 40 for _, total in found)
    assert list(tokens().make()) == []  # there is nothing left to do


@pytest.mark.parametrize("torn", [b"", b"\x07", b"half of a stretch"])
def test_interrupted_at_every_stretch_it_comes_out_the_same(tokens: Make, torn: bytes) -> None:
    whole = tokens(of={"another": 1})
    stretches = len(list(whole.make()))
    expected = whole.path.read_bytes()
    encoded = []

    def counting(line: Passage) -> np.ndarray:
        encoded.append(line.text)
        return encode(line)

    for _ in range(stretches - 1):
        made = tokens(encode=counting)
        run = made.make()
        next(run)
        run.close()  # as where the process is killed
        with made.path.open("ab") as file:
            file.write(torn)
    assert tokens(encode=counting).ids().tolist() == EXPECTED
    assert tokens().path.read_bytes() == expected
    assert encoded == LINES  # no line was encoded twice


def test_killed_between_a_stretch_and_its_record_it_comes_out_the_same(
    tokens: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def killed(path: Path, content: bytes) -> None:
        raise Killed

    made = tokens()
    list(islice(made.make(), 2))
    with monkeypatch.context() as patch:
        patch.setattr(token_file, "write_whole", killed)
        with pytest.raises(Killed):
            list(tokens().make())
    assert tokens().ids().tolist() == EXPECTED


def test_a_file_that_is_there_is_used_again(tokens: Make) -> None:
    made = tokens()
    made.ids()
    before = made.path.stat().st_mtime_ns
    again = tokens(encode=lambda line: pytest.fail("it was made again"))
    assert again.ids().tolist() == EXPECTED
    assert again.path == made.path
    assert made.path.stat().st_mtime_ns == before


def test_another_text_or_vocabulary_has_another_file(tokens: Make, path: Path) -> None:
    text = LongText(path)
    paths = {tokens().path, tokens(of={"vocabulary": 52}).path, tokens(text=text[1:]).path, tokens(symbols=70000).path}
    path.write_text("\n".join([*LINES, "1 2 3"]))
    changed = tokens()
    assert len(paths | {changed.path}) == 5
    assert changed.ids().tolist() == [*EXPECTED, 1, 2, 3, 50]


@pytest.mark.parametrize(("symbols", "size"), [(2, 2), (1 << 16, 2), ((1 << 16) + 1, 4), (1 << 20, 4)])
def test_numbers_have_16_bits_where_all_fit(tokens: Make, symbols: int, size: int) -> None:
    made = tokens(symbols=symbols, encode=lambda line: np.array([symbols - 1, 0]))
    assert made.ids().tolist() == [symbols - 1, 0] * 40
    assert made.path.stat().st_size == 80 * size


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize(
    "damage",
    [
        lambda ids, index: ids.write_bytes(ids.read_bytes()[:-2]),
        lambda ids, index: ids.write_bytes(b"\xff" + ids.read_bytes()[1:]),
        lambda ids, index: ids.unlink(),
        lambda ids, index: index.unlink(),
        lambda ids, index: index.write_text("{"),
        lambda ids, index: index.write_text("[1, 2]"),
        lambda ids, index: index.write_text('{"lines": -1, "elements": 3, "checksum": 0, "whole": true}'),
        lambda ids, index: index.write_text('{"lines": 1, "elements": "3", "checksum": 0, "whole": true}'),
        lambda ids, index: index.write_text(json.dumps({**json.loads(index.read_text()), "elements": 9})),
        lambda ids, index: index.write_text(json.dumps({**json.loads(index.read_text()), "whole": 1})),
    ],
)
def test_what_is_damaged_is_made_anew(tokens: Make, whole: bool, damage: Callable[[Path, Path], None]) -> None:
    made = tokens()
    list(made.make() if whole else islice(made.make(), 3))
    damage(made.path, made.path.with_suffix(".json"))
    assert tokens().ids().tolist() == EXPECTED
    assert made.path.stat().st_size == 2 * len(EXPECTED)


def test_a_text_that_changes_while_it_is_made_leaves_no_whole_file(tokens: Make, path: Path) -> None:
    run = tokens().make()
    next(run)
    path.write_text("\n".join(LINES).replace("1", "2"))
    with pytest.raises(BadData, match="changed while it was in use"):
        list(run)
    assert tokens().ids().tolist() == [2 if e == 1 else e for e in _numbers(path)]


def _numbers(path: Path) -> list[int]:
    return [int(number) for line in path.read_text().split("\n") for number in [*line.split(), "50"]]


def test_who_comes_second_waits_and_makes_nothing(tokens: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_file, "PATIENCE", 0.01)
    first, second = tokens(), tokens(encode=lambda line: pytest.fail("it was made twice"))
    run = first.make()
    done = next(run)
    waiting = second.make()
    assert next(waiting) == done
    list(run)
    list(waiting)
    assert second.ids().tolist() == EXPECTED


def test_two_at_once_make_one_file(tokens: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_file, "PATIENCE", 0.01)
    found: list[list[int]] = []
    threads = [threading.Thread(target=lambda: found.append(tokens().ids().tolist())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [EXPECTED] * 4


def test_what_the_system_refuses_is_said(tokens: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "file"))
    with pytest.raises(CannotWrite, match=r"cannot write .*\.ids: .*; UNROLLED_CACHE in the environment names another"):
        tokens().ids()


def test_a_lock_is_let_go_of_when_the_text_is_bad(tokens: Make, path: Path) -> None:
    path.write_bytes(b"1 2\n" * 50 + b"\xff\n")
    made = tokens()
    with pytest.raises(BadData, match=r"train\.txt:51: not UTF-8"):
        list(made.make())
    assert not made.path.with_suffix(".json").exists()
    with filelock.FileLock(made.path.with_suffix(".lock"), timeout=0):
        pass
