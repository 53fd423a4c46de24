"""The page of attention, read as a browser reads it: nothing from outside, nothing from a token but its text."""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unrolled.inspection.alignment import legible
from unrolled.inspection.attention import of
from unrolled.inspection.attention_page import LARGEST_TABLE
from unrolled.inspection.page import page

NASTY = [
    "</script>",
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "&amp;",
    "'",
    "<!--",
    "{}",
    "\\u003c",
]


class Read(HTMLParser):
    """The page's elements with their attributes, and the text in each kind of them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.tokens: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "img"):
            self.open.append(tag)
        if self.open[-2:] == ["button", "bdi"]:
            self.tokens.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"{tag} closes what is not open"

    def handle_data(self, data: str) -> None:
        if self.open:
            self.texts.append((self.open[-1], data))
        if self.open[-2:] == ["button", "bdi"]:
            self.tokens[-1] += data

    def text(self, tag: str) -> str:
        return "".join(data for kind, data in self.texts if kind == tag)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for kind, attributes in self.elements if kind == tag]


def even(source: list[str], target: list[str]) -> Read:
    return Read(of([(source, target, np.full((len(target), len(source)), 1 / len(source)))]).to_html())


HARMLESS = Counter(tag for tag, _ in even(["a"] * 3, ["b"] * 2).elements)


@given(st.lists(st.text(st.characters(exclude_categories=())) | st.sampled_from(NASTY), min_size=5, max_size=5))
def test_tokens_are_text_and_nothing_else(drawn: list[str]) -> None:
    read = even(drawn[:3], drawn[3:])
    assert read.tokens == [legible(token) for token in drawn]
    assert Counter(tag for tag, _ in read.elements) == HARMLESS
    assert not read.open


@pytest.mark.parametrize("nasty", NASTY)
def test_title_and_facts_are_text_too(nasty: str) -> None:
    read = Read(of([("abc", "xy", np.full((2, 3), 1 / 3))], title=nasty, facts={nasty: nasty}).to_html())
    assert read.text("h1") == read.text("title") == read.text("dt") == nasty
    assert Counter(tag for tag, _ in read.elements) == HARMLESS + Counter(["div", "dt", "dd", "bdi"])


def test_the_page_needs_nothing_from_outside() -> None:
    read = even(["a", "b"], ["x"])
    assert {name for _, attributes in read.elements for name in attributes} <= {
        *(
            "lang",
            "charset",
            "http-equiv",
            "content",
            "name",
            "class",
            "dir",
            "type",
            "style",
            "title",
            "scope",
            "open",
        ),
        *("aria-hidden", "aria-live", "aria-pressed", "data-w"),
    }
    assert not re.search(r"url\(|@import|https?:", read.text("style"))
    # A name of the SVG standard looks like an address and is none.
    assert re.findall(r"https?:[^\"]*", read.text("script")) == ["http://www.w3.org/2000/svg"]
    assert not re.search(r"fetch|XMLHttp|WebSocket|innerHTML|eval", read.text("script"))


def test_only_the_script_that_was_meant_may_run() -> None:
    read = even(["a"], ["x"])
    (policy,) = [meta["content"] for meta in read.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    lock = base64.b64encode(hashlib.sha256(read.text("script").encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{lock}'; base-uri 'none'"


def test_a_written_token_holds_what_it_looked_at() -> None:
    weights = [[0.9, 0.094, 0.006], [0, 0.0049, 0.9951]]
    read = Read(of([("abc", "xy", weights)]).to_html())
    held = [button["data-w"] for button in read.all("button") if "data-w" in button]
    assert held == ["0:.9 1:.094 2:.006", "2:.995"]


def test_lines_are_as_long_as_coverage_and_entropy() -> None:
    # Coverage 1.5, 0.5 and 0 (cut at 1); entropies 0 and 1 bit, of log2 3 at most.
    read = Read(of([("abc", "xy", [[1, 0, 0], [0.5, 0.5, 0]])]).to_html())
    bars = [re.search(r"--bar:([\d.]+)", str(button["style"])) for button in read.all("button")]
    assert [float(bar[1]) for bar in bars if bar] == pytest.approx([1, 0.5, 0, 0, 1 / np.log2(3)], abs=1e-3)
    assert [button["title"] for button in read.all("button")] == [
        "Looked at 1.50 times in all.",
        "Looked at 0.50 times in all.",
        "Looked at 0.00 times in all.",
        "As wide as 1.0 tokens (0.00 bits).",
        "As wide as 2.0 tokens (1.00 bits).",
    ]


def test_one_source_token_can_only_be_looked_at() -> None:
    assert "--bar:0" in str(even(["a"], ["x"]).all("button")[1]["style"])


def test_the_table_says_everything_without_the_script() -> None:
    read = Read(of([("abc", "xy", [[1, 0, 0], [0.25, 0.75, 0]])]).to_html())
    assert "".join(data for tag, data in read.texts if tag == "td") == "100" + "0.00" + "2575" + "0.81" + "1.20.80.0"
    assert [cell.get("scope") for cell in read.all("th")] == [None, *["col"] * 4, *["row"] * 3]


def test_a_table_too_large_for_a_phone_is_left_out() -> None:
    side = int(LARGEST_TABLE**0.5)
    assert len(even(["a"] * side, ["b"] * side).all("table")) == 1
    read = even(["a"] * side, ["b"] * (side + 1))
    assert not read.all("table")
    assert f"{side * (side + 1):,} weights, too many for a table" in read.text("summary")


def test_tables_are_open_where_there_are_few() -> None:
    one = ("a", "x", [[1]])
    for number, wanted in ((1, True), (3, True), (4, False)):
        found = Read(of([one] * number).to_html()).all("details")
        assert ["open" in each for each in found] == [wanted] * number


def test_what_is_written_from_right_to_left_stands_so() -> None:
    read = even(["הכלב", "רץ"], ["the", "dog"])
    assert [row["dir"] for row in read.all("ol")] == ["rtl", "ltr"]
    assert read.all("table")[0]["dir"] == "rtl"


def test_an_empty_translation_has_a_place() -> None:
    read = Read(of([("ab", "", [])]).to_html())
    assert "Nothing was written." in read.text("p")
    assert not read.all("table")


def test_the_shell_takes_any_report() -> None:
    read = Read(page("T", {}, "<main>x</main>", style="main { color: red }", script="1 < 2;"))
    assert read.text("main") == "x"
    assert read.text("script") == "1 < 2;"
    assert "prefers-color-scheme: dark" in read.text("style")
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in read.all("meta")
