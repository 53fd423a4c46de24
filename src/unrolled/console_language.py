"""How the command line shows what a language model says: texts, answers to a stream, fillings of a gap."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

from unrolled import state as states
from unrolled.api import Model
from unrolled.console_training import count, err
from unrolled.data import reading
from unrolled.data.examples import Passage
from unrolled.data.lines import below_blanks
from unrolled.data.pieces import Bytes, bytes_in_pieces, pieces
from unrolled.errors import BadOption
from unrolled.files import must_have_folder


def print_generated(prompt: str, texts: Iterable[Iterable[str]], *, as_json: bool) -> None:
    """Texts behind their prompt, piece by piece as they come, an empty line between them; or one JSON object."""
    if as_json:
        print(json.dumps({"prompt": prompt, "texts": ["".join(parts) for parts in texts]}, ensure_ascii=False))
        return
    for number, parts in enumerate(texts):
        print("\n" * bool(number) + prompt, end="", flush=True)
        for piece in parts:
            print(piece, end="", flush=True)
        print()


def write_generated(model: Model, prompt: str, texts: Iterable[Iterable[str]], output: Path, *, as_json: bool) -> None:
    """Texts behind their prompt, whole or not at all, to a file in the format of its suffix, each line an example.

    Raises `BadOption` together with `--json` and for a format that holds no texts, `UnknownName` where the suffix tells
    none, `BadData` for what the format cannot hold, `CannotWrite` for what the system refuses.
    """
    if as_json:
        raise BadOption("--json prints, and --output writes a file in the format of its suffix, such as .jsonl")
    # A mistake in the target's name is found before the work.
    how = model.how({}, output)
    how["format"] = model.format_for(output, how)
    reading.format_of(output, how["format"])(Passage)
    must_have_folder(output)
    written = ["".join([prompt, *parts]) for parts in texts]
    reading.write(output, (line for number, text in enumerate(written) for line in _lines(text, bool(number))), **how)
    err.print(f"{count(len(written), 'text')} written to {output}", soft_wrap=True)


def _lines(text: str, above: int) -> Iterator[Passage]:
    """A text's lines as examples, as they are read again. above: empty lines that stand before the text."""
    for _, blank, line in below_blanks(text.split("\n"), above):
        yield Passage(text=line, above=blank)


def stream(model: Model, kept: Path | None, options: Mapping[str, Any], *, as_json: bool) -> None:
    """Answer at each element of standard input; an interrupt ends it as the end of the input does.

    kept: a file with the state to go on from, where it is there; it gets the state at the end.
    """
    saved = None if kept is None or not kept.exists() else states.load(kept)
    streamer = model.stream(saved, **options)
    show = partial(_show_answer, as_json=as_json)
    given = cast(Bytes, sys.stdin.buffer)
    with contextlib.suppress(KeyboardInterrupt):
        for piece in bytes_in_pieces(given) if streamer.hears else pieces(given):
            for answer in streamer.read(piece):
                show(answer)
            sys.stdout.flush()
    for answer in streamer.finish():
        show(answer)
    if kept is not None:
        states.save(streamer.state, kept)


def _show_answer(answer: Mapping[str, Any], *, as_json: bool) -> None:
    """A JSON object, or tab-separated: the element, names and numbers, and pairs of a name and its probability."""
    if as_json:
        print(json.dumps(answer, ensure_ascii=False))
        return
    cells = []
    for value in answer.values():
        if isinstance(value, tuple):
            cells += [_visible(v) if isinstance(v, str) else f"{_visible(v[0])} {v[1]:.4f}" for v in value]
        else:
            cells.append(f"{value:.3f}" if isinstance(value, float) else _visible(value))
    print("\t".join(cells))


def _visible(element: str) -> str:
    return element.encode("unicode_escape").decode() if not element.isprintable() else element


def print_comparison(found: Sequence[Mapping[str, Any]], *, as_json: bool) -> None:
    """What may fill a gap, the likeliest first; or one JSON object, in the order given."""
    if as_json:
        print(json.dumps({"alternatives": list(found)}, ensure_ascii=False))
        return
    for one in sorted(found, key=lambda one: one["bits"]):
        print(f"{one['probability']:.4f}  {one['bits']:8.2f} bits  {one['alternative']}")
