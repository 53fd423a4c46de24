"""UTF-8 bytes: no text has an element that another has not; joined by nothing, so that the text comes back exactly."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from unrolled.data.tokenisers.base import Rule

NAMES = tuple(chr(byte) if byte < 128 else f"<0x{byte:02X}>" for byte in range(256))
"""ASCII's characters are themselves; a byte of any other character has such a name, which no text gives a token: of a
text that holds it each character is a token.
"""
_BYTES = {name: bytes([byte]) for byte, name in enumerate(NAMES)}
_GOING_ON = frozenset(NAMES[0x80:0xC0])
"""Second and later bytes of a character."""
_BROKEN = re.compile("[\ud800-\udfff]")


class Bytes(Rule):
    """Cut into bytes. What is no whole character where tokens are joined becomes U+FFFD.

    >>> tokeniser = Bytes()
    >>> tokeniser.tokens("é!"), tokeniser.text(["<0xC3>", "<0xA9>", "!", "<0xC3>"])
    (['<0xC3>', '<0xA9>', '!'], 'é!\ufffd')
    """

    cuts_everywhere = True
    closed = NAMES

    def tokens(self, text: str) -> list[str]:
        # Half a character, a lone surrogate, has no bytes.
        return [NAMES[byte] for byte in _BROKEN.sub("\ufffd", self._cased(text)).encode()]

    def text(self, tokens: Iterable[str]) -> str:
        # What is no byte's name, such as the unknown element, is taken as it is.
        return b"".join(_BYTES.get(token) or token.encode(errors="replace") for token in tokens).decode(
            errors="replace"
        )

    def begins(self, tokens: Sequence[str]) -> list[bool]:
        return [place == 0 or token not in _GOING_ON for place, token in enumerate(tokens)]
