"""Cut at white space."""

from __future__ import annotations

from unrolled.data.tokenisers.blanks import Blanks


def test_what_stands_between_white_space_is_a_token():
    tokeniser = Blanks()
    assert tokeniser.tokens(" HH AH0\tL\u00a0OW1\n") == ["HH", "AH0", "L", "OW1"]
    assert tokeniser.tokens("don't, (￭ x-y") == ["don't,", "(￭", "x-y"]
    assert Blanks(case="lower").tokens("I_WALK İ Σ") == ["i_walk", "i\u0307", "σ"]


def test_one_blank_stands_between_tokens():
    assert Blanks().text(["I_WALK", "￭,", "<unk>"]) == "I_WALK ￭, <unk>"
    assert Blanks().text([]) == ""


def test_each_token_is_a_word():
    assert Blanks().begins(["a", "￭b", ","]) == [True, True, True]
