"""Text that comes in pieces, cut into the tokens that the whole would be cut into, in constant memory.

A tokeniser that cuts everywhere gives its tokens at once. Any other looks at what stands between white space, and
perhaps at what stands before it: its tokens are given when the white space behind them is there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

LINE_END = "\n"
"""The element that ends a line; before the first element of a text stands one, too."""
LONGEST = 1 << 16
"""Characters between white space up to which they are one piece of text: no input can fill the memory."""


class Cutter:
    """Cuts one text.

    Args:
        tokens: cuts a line.
        everywhere: whether its tokens are those of its characters, one after the other, white space too.
        before: what `before` was when another one stopped; a text goes on from there.
    """

    def __init__(self, tokens: Callable[[str], list[str]], *, everywhere: bool, before: str = "") -> None:
        self.tokens, self.everywhere, self.pending = tokens, everywhere, ""
        self.before = before
        """The last piece between white space of this line, whose tokens were given."""

    def cut(self, text: str) -> Iterator[str]:
        """The tokens that are certain now; a line's end is one of its own."""
        *lines, rest = text.split(LINE_END)
        for line in lines:
            yield from self._more(line)
            yield from self.finish()
            self.before = ""
            yield LINE_END
        yield from self._more(rest)

    def finish(self) -> Iterator[str]:
        """What is left, as if white space came next."""
        if self.pending:
            piece, self.pending = self.pending, ""
            yield from self._given(piece)

    def _more(self, text: str) -> Iterator[str]:
        if self.everywhere:
            yield from self.tokens(text)
            return
        text = self.pending + text
        pieces = text.split()
        open_end = bool(pieces) and not text[-1].isspace() and len(pieces[-1]) < LONGEST
        self.pending = pieces.pop() if open_end else ""
        for piece in pieces:
            yield from self._given(piece)

    def _given(self, piece: str) -> Iterator[str]:
        before = self.tokens(self.before)
        yield from self.tokens(f"{self.before} {piece}")[len(before) :]
        self.before = piece
