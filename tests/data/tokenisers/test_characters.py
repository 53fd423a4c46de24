"""Cut everywhere."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from unrolled.data.tokenisers.characters import Characters


def test_each_code_point_is_a_token():
    assert Characters().tokens("a e\u0301\n😀") == ["a", " ", "e", "\u0301", "\n", "😀"]
    assert Characters(case="lower").tokens("ÄΣ") == ["ä", "ς"]  # a final sigma: the text is lowered as a whole
    assert Characters().text(["a", " ", "<unk>", "b"]) == "a <unk>b"
    assert Characters().begins(["a", "b"]) == [True, True]


@given(st.text())
def test_the_text_comes_back_exactly(text):
    assert Characters().text(Characters().tokens(text)) == text
