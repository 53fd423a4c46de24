"""The laws of every tokeniser in `data/tokenisers/`, which the folder lists itself."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unrolled.data.tokenisers.base import PACKAGE, Rule, Tokeniser
from unrolled.data.tokenisers.words import Words
from unrolled.errors import BadOption, UnknownName
from unrolled.lookup import find, names

KINDS = {name: find(PACKAGE, name, Tokeniser, "tokenisation") for name in names(PACKAGE, Tokeniser)}
LEARNT = [name for name, kind in KINDS.items() if not issubclass(kind, Rule)]
CASES = ("keep", "lower")
TEXTS = [
    "Ein Mann, der im T-Shirt schläft, hat's gut (sehr gut).",
    "Eine Frau und ein Mann schlafen nicht: „Sie bauen ein Haus!“",
    "A man isn't sleeping; the women's house, l'été, o'clock.",
    "Two men build a house. The men sleep in the house.",
]
# Letters met and not met in training, marks, apostrophes, hyphens, white space, and all that has a meaning inside.
ANY = st.text("aenEÄßЖق日é9'’-,.(„“ \u00a0\u2028\t￭▁<>_\u0301\u200d\ufe0f😀\U000f0000İΣ") | st.text(
    st.characters(codec="utf-8")
)


@cache
def built(name: str, case: str = "keep") -> Tokeniser:
    return KINDS[name].build(TEXTS, case=case, **({"size": 90} if name in LEARNT else {}))


def squeezed(text: str) -> str:
    return " ".join(text.split())


def test_the_folder_holds_the_tokenisers_of_the_documentation():
    assert {"blanks", "bpe", "bytes", "characters", "unigram", "words"} <= set(KINDS)
    assert {name: built(name).name for name in KINDS} == {name: name for name in KINDS}


@pytest.mark.parametrize("name", KINDS)
def test_every_tokeniser_has_a_test_file_of_its_own(name):
    assert (Path(__file__).parent / "data" / "tokenisers" / f"test_{name}.py").is_file()


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", KINDS)
@given(ANY)
def test_the_text_comes_back_up_to_runs_of_white_space(name, case, text):
    tokeniser = built(name, case)
    tokens = tokeniser.tokens(text)
    assert all(tokens)
    assert squeezed(tokeniser.text(tokens)) == squeezed(text.lower() if case == "lower" else text)
    if not tokeniser.cuts_everywhere:
        assert tokeniser.text(tokens) == squeezed(tokeniser.text(tokens))
        assert not any(token.split() != [token] for token in tokens)


@pytest.mark.parametrize("name", KINDS)
@given(st.lists(st.sampled_from(sorted({t for text in TEXTS for t in Words().tokens(text)})), max_size=8))
def test_tokens_in_any_order_make_a_text_without_a_mark(name, tokens):
    tokeniser = built(name)
    if name == "blanks":
        tokens = [token.strip("￭") for token in tokens]  # its own tokens have no marks, so it takes none out
    if name == "characters":
        tokens = list("".join(tokens).replace("￭", ""))
    if name == "bytes":
        assert tokeniser.text([c for token in tokens for c in tokeniser.tokens(token)]) == "".join(tokens)
        return
    text = tokeniser.text(tokens)
    assert "￭" not in text
    assert "".join(text.split()) == "".join(tokens).replace("￭", "")


@pytest.mark.parametrize("name", KINDS)
def test_tokens_that_it_does_not_know_are_taken_as_they_are(name):
    assert squeezed(built(name).text(["<unk>", " ", "Жук", " ", "</s>"])) == "<unk> Жук </s>"


@pytest.mark.parametrize("name", KINDS)
def test_all_texts_are_cut_as_each_is(name):
    tokeniser = built(name)
    texts = [*TEXTS, "", "noch ein Haus"]
    assert tokeniser.tokens_of_all(iter(texts)) == [tokeniser.tokens(text) for text in texts]
    assert tokeniser.tokens("") == []
    assert tokeniser.text([]) == ""


@pytest.mark.parametrize("name", KINDS)
@given(ANY)
def test_the_first_token_begins_a_word_and_so_does_each_after_a_blank(name, text):
    tokeniser = built(name)
    tokens = tokeniser.tokens(text)
    begins = tokeniser.begins(tokens)
    assert len(begins) == len(tokens)
    assert all(begins[:1])
    assert sum(begins) >= len(text.split())


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", KINDS)
def test_it_is_the_same_after_it_was_stored_or_copied(name, case):
    tokeniser = built(name, case)
    again = Tokeniser.from_json(json.loads(json.dumps(tokeniser.to_json(), sort_keys=True)))
    for other in (again, pickle.loads(pickle.dumps(tokeniser)), copy.deepcopy(tokeniser), copy.copy(tokeniser)):
        assert type(other) is type(tokeniser)
        assert other == tokeniser
        assert hash(other) == hash(tokeniser)
        assert other.tokens_of_all(TEXTS) == tokeniser.tokens_of_all(TEXTS)
    assert built(name, "lower") != built(name, "keep")
    assert tokeniser != tokeniser.to_json()


@pytest.mark.parametrize("name", KINDS)
def test_one_for_two_languages_knows_both(name):
    german, english = TEXTS[:2], TEXTS[2:]
    joint = built(name)
    assert joint == KINDS[name].build(iter([*german, *english]), **({"size": 90} if name in LEARNT else {}))
    if name in LEARNT:
        assert joint.tokens("Mann") == ["Mann"]
        assert joint.tokens("house") == ["house"]


LEARN = """
import json, sys
from unrolled.data.tokenisers.base import PACKAGE, Tokeniser
from unrolled.lookup import find
texts = json.load(sys.stdin)
print(json.dumps(find(PACKAGE, sys.argv[1], Tokeniser, "").build(texts, size=90).to_json()))
"""


@pytest.mark.parametrize("name", LEARNT)
def test_what_is_learnt_depends_on_nothing_but_the_texts(name, monkeypatch):
    for threads, seed in (("true", "1"), ("false", "2")):
        monkeypatch.setenv("TOKENIZERS_PARALLELISM", threads)
        monkeypatch.setenv("PYTHONHASHSEED", seed)
        command = [sys.executable, "-c", LEARN, name]
        ran = subprocess.run(command, input=json.dumps(TEXTS), capture_output=True, text=True, check=True)
        assert ran.stderr == ""
        assert json.loads(ran.stdout) == built(name).to_json()


@pytest.mark.parametrize("name", KINDS)
def test_threads_share_one(name):
    fresh = Tokeniser.from_json(built(name).to_json())  # so that they fill its cache together
    expected = built(name).tokens_of_all(TEXTS)
    with ThreadPoolExecutor(4) as threads:
        assert all(found == expected for found in threads.map(fresh.tokens_of_all, [TEXTS] * 40))


LAZY = """
import sys
import unrolled, unrolled.cli, unrolled.bundle
from unrolled.data.tokenisers.base import PACKAGE, Tokeniser
from unrolled.data.tokenisers.words import Words
from unrolled.lookup import names
names(PACKAGE, Tokeniser), Words.build([]).tokens("a b")
print([name for name in ("tokenizers", "sacrebleu", "rapidfuzz") if name in sys.modules])
"""


def test_a_library_is_imported_where_it_is_needed_only():
    ran = subprocess.run([sys.executable, "-c", LAZY], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"


@pytest.mark.parametrize("name", [name for name in KINDS if name not in LEARNT])
def test_a_rule_takes_no_size(name):
    with pytest.raises(BadOption, match=rf"^the tokenisation {name} is a rule, which learns no pieces: it takes no"):
        KINDS[name].build(TEXTS, size=8000)
    with pytest.raises(ValueError, match=r"^a rule has a name and a case, not merges$"):
        Tokeniser.from_json({**built(name).to_json(), "merges": []})


@pytest.mark.parametrize("name", KINDS)
def test_an_unknown_case_is_named_with_the_nearest(name):
    with pytest.raises(UnknownName, match=r"^unknown case 'lowr'; did you mean 'lower'\?$"):
        KINDS[name].build(TEXTS, case="lowr")


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (None, "a tokeniser is a JSON object, not NoneType"),
        ([1], "a tokeniser is a JSON object, not list"),
        ({}, "a tokeniser has a name and a case, which is keep or lower"),
        ({"tokeniser": "words"}, "a tokeniser has a name and a case, which is keep or lower"),
        ({"tokeniser": 3, "case": "keep"}, "a tokeniser has a name and a case, which is keep or lower"),
        ({"tokeniser": "words", "case": ["keep"]}, "a tokeniser has a name and a case, which is keep or lower"),
    ],
)
def test_a_value_that_is_no_tokeniser_is_refused(value, problem):
    with pytest.raises(ValueError, match=f"^{problem}$"):
        Tokeniser.from_json(value)


def test_another_kind_and_an_unknown_one_are_named():
    with pytest.raises(ValueError, match=r"^blanks is no Words$"):
        Words.from_json({"tokeniser": "blanks", "case": "keep"})
    for name in ("word", "base", "_joiner"):
        with pytest.raises(UnknownName, match=f"^unknown tokenisation '{name}'"):
            Tokeniser.from_json({"tokeniser": name, "case": "keep"})
