"""Translation memories."""

from __future__ import annotations

import io
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from unrolled.data.examples import LabelledText, Pair
from unrolled.data.formats.tmx import TMX
from unrolled.errors import BadData, BadOption, UnknownName

HEADER = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE tmx SYSTEM "tmx14.dtd">
<!-- a memory -->
<tmx version="1.4">
  <header creationtool="x" srclang="en-US" datatype="html"><note>for <all> & nothing</note></header>
  <body>""".replace("<all> &", "all &amp;")
FOOTER = "\n  </body>\n</tmx>\n"
UNITS = """
    <tu tuid="1">
      <prop type="domain">pets</prop>
      <tuv xml:lang="de-DE" changeid="me"><note>ein <b/></note><seg>Ein großer Hund</seg></tuv>
      <!-- between -->
      <tuv xml:lang="en-US">
        <seg>A <bpt i="1"><sub>not this</sub>nor this</bpt>big<ept i="1">&lt;/b&gt;</ept> <hi type="x">dog</hi>\
<ph>br</ph><it pos="begin">i</it></seg>
      </tuv>
    </tu>
    <tu><tuv xml:lang="EN_us"><seg>Two &lt;cats&gt; &amp; <![CDATA[<more>]]></seg></tuv></tu>
    <tu><tuv lang="en-us"><seg>Three</seg></tuv><tuv lang="de"><seg/></tuv></tu>
    <tu><tuv xml:lang="fr"><seg>Quatre</seg></tuv></tu>"""
CONTENT = HEADER + UNITS.replace("<b/>", "<!-- b -->") + FOOTER
ENGLISH, GERMAN = "A big dog", "Ein großer Hund"


def read(content: str | bytes, source: str | None = None, target: str | None = None, **options) -> list[Pair]:
    columns = {name: value for name, value in {"source": source, "target": target}.items() if value is not None}
    content = content if isinstance(content, bytes) else content.encode()
    return list(TMX(Pair, columns, **options).read_stream(io.BytesIO(content), "a.tmx"))


def written(examples, source: str | None = None, target: str | None = None) -> str:
    columns = {name: value for name, value in {"source": source, "target": target}.items() if value is not None}
    return b"".join(TMX(Pair, columns).write_stream(examples)).decode()


def unit(**texts: str) -> str:
    variants = "".join(f'<tuv xml:lang="{name}"><seg>{text}</seg></tuv>' for name, text in texts.items())
    return f"\n    <tu>{variants}</tu>"


def test_languages_are_chosen_and_a_region_is_not_needed():
    expected = [(ENGLISH, GERMAN), ("Two <cats> & <more>", None), ("Three", None)]
    assert [(e.source, e.target) for e in read(CONTENT, "en", "de")] == expected
    assert [(e.source, e.target) for e in read(CONTENT, "EN-us", "de-de")] == expected
    assert [(e.source, e.target) for e in read(CONTENT, "de", "en")] == [(GERMAN, ENGLISH)]


def test_the_language_itself_goes_before_its_regions():
    content = HEADER + unit(**{"en-GB": "colour", "en": "color", "de": "Farbe"}) + FOOTER
    assert read(content, "en", "de") == [Pair(source="color", target="Farbe")]
    assert read(content, "en-GB", "de") == [Pair(source="colour", target="Farbe")]
    assert read(content, "en", "en-GB") == [Pair(source="color", target="colour")]
    assert read(HEADER + unit(eng="no", en="yes", de="ja") + FOOTER, "en", "de") == [Pair(source="yes", target="ja")]


def test_a_language_whose_name_begins_so_is_another():
    with pytest.raises(UnknownName, match=r"unknown language 'en'; did you mean 'eng'\?"):
        read(HEADER + unit(eng="a", de="b") + FOOTER, "en", "de")


def test_without_names_the_file_says_what_was_translated():
    assert read(CONTENT)[0] == Pair(source=ENGLISH, target=GERMAN)
    content = HEADER + unit(en="a", de="b").replace("<tu>", '<tu srclang="de">') + FOOTER
    assert read(content) == [Pair(source="b", target="a")]
    with pytest.raises(BadData, match=r"^a\.tmx:7: a unit in en, de, fr: say which is the target, --set target=…$"):
        read(HEADER + unit(en="a", de="b", fr="c") + FOOTER)
    everything = HEADER.replace("en-US", "*all*") + unit(en="a", de="b") + FOOTER
    with pytest.raises(BadData, match=r"^a\.tmx:7: a unit in en, de: say which is the source, --set source=…$"):
        read(everything)
    assert read(everything, "de") == [Pair(source="b", target="a")]


def test_a_pair_knows_the_line_of_its_source():
    lines = CONTENT.split("\n")
    for example, start in zip(read(CONTENT, "en", "de"), ("<seg>A ", "<seg>Two", "<seg>Three"), strict=True):
        assert start in lines[example.origin.line - 1]


def test_training_takes_the_units_that_have_both():
    assert read(CONTENT, "en", "de", filled=True) == [Pair(source=ENGLISH, target=GERMAN)]
    with pytest.raises(BadData) as caught:
        read(CONTENT, "fr", "de", filled=True)
    assert str(caught.value) == (
        "a.tmx: no unit has a source and a target; its languages are de-DE, en-US, EN_us, en-us, de, fr"
    )


def test_a_language_that_is_not_there_is_named_with_those_that_are():
    with pytest.raises(UnknownName) as caught:
        read(CONTENT, "es", "de")
    assert str(caught.value) == "a.tmx: unknown language 'es'; there are: EN_us, de, de-DE, en-US, en-us, fr"
    with pytest.raises(UnknownName, match=r"^a\.tmx: unknown language 'es'; there are: "):
        read(CONTENT, "en", "es", filled=True)
    assert len(read(CONTENT, "en", "es")) == 3


def test_what_was_read_is_written_byte_for_byte():
    content = HEADER + UNITS[: UNITS.index('\n    <tu><tuv xml:lang="fr"')].replace("<b/>", "b") + FOOTER
    assert written(read(content, "en", "de"), "en", "de") == content


def test_only_a_text_that_has_changed_is_replaced():
    first, second, third = read(CONTENT, "en", "de")
    content = written([replace(first, target="1 < 2"), replace(second, target="zwei"), replace(third, target="drei")])
    expected = CONTENT.replace("Ein großer Hund", "1 &lt; 2").replace("<seg/>", "<seg>drei</seg>")
    expected = expected.replace('\n    <tu><tuv xml:lang="fr"><seg>Quatre</seg></tuv></tu>', "")
    end = "<![CDATA[<more>]]></seg></tuv>"
    assert content == expected.replace(end, end + '<tuv xml:lang="x-target"><seg>zwei</seg></tuv>')
    assert [e.target for e in read(content, "en", "de")] == ["1 < 2", None, "drei"]
    assert read(written([replace(first, source="x", target="longer than before")]), "en", "de") == [
        Pair(source="x", target="longer than before")
    ]


def test_a_new_language_is_indented_as_the_others_are():
    content = HEADER + '\n    <tu>\n      <tuv lang="en">\n        <seg>a</seg>\n      </tuv>\n    </tu>' + FOOTER
    (example,) = read(content, "en", "de")
    assert written([replace(example, target="b")], "en", "de") == content.replace(
        "      </tuv>\n", '      </tuv>\n      <tuv lang="de"><seg>b</seg></tuv>\n'
    )


def test_a_text_that_was_taken_away_is_not_written():
    blank = [replace(example, target=None) for example in read(CONTENT, "en", "de")]
    assert GERMAN not in written(blank)
    assert read(written(blank), "en", "de") == blank


def test_new_units_are_what_any_xml_reader_reads():
    pairs = [Pair(source=' a < b & "c" > ', target="d\te\nf\rg ]]>"), Pair(source="ü\u2028\u00a0", target="\U0001f600")]
    tree = ElementTree.fromstring(written(pairs, "en", "pt-BR").encode())
    assert [tree.tag, tree.attrib["version"], tree.find("header").attrib["srclang"]] == ["tmx", "1.4", "en"]
    needed = {"creationtool", "creationtoolversion", "segtype", "o-tmf", "adminlang", "srclang", "datatype"}
    assert set(tree.find("header").attrib) == needed
    found = [[tuv.find("seg").text for tuv in tu] for tu in tree.find("body")]
    assert found == [[pair.source, pair.target] for pair in pairs]
    language = "{http://www.w3.org/XML/1998/namespace}lang"
    assert {tuple(tuv.attrib[language] for tuv in tu) for tu in tree.iter("tu")} == {("en", "pt-BR")}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_a_file_may_be_utf16_and_is_written_as_utf8(encoding):
    content = HEADER.replace("UTF-8", "UTF-16") + unit(en="Ċ\u0a0a", de="ß") + FOOTER  # their bytes hold a line feed
    mark = "" if encoding == "utf-16" else "\ufeff"
    examples = read((mark + content).encode(encoding), "en", "de")
    assert examples == [Pair(source="Ċ\u0a0a", target="ß")]
    assert examples[0].origin.line == 7
    assert written(examples) == content.replace("UTF-16", "UTF-8")
    with pytest.raises(BadData, match=r"^a\.tmx: not UTF-16, as which it begins: truncated data$"):
        read((mark + content).encode(encoding)[:-1], "en", "de")


def test_a_file_of_one_line_is_read_as_any_other():
    pairs = [Pair(source=f"line {k} é", target=f"Zeile {k}") for k in range(2_000)]
    content = written(pairs).replace("\n", "")
    again = read(content)
    assert again == pairs
    assert {example.origin.line for example in again} == {1}
    assert written(again[:1]) == content[: content.index("</tu>")] + "</tu>" + FOOTER


def test_memory_does_not_grow_with_the_file():
    def lines(count: int) -> Iterator[bytes]:
        yield HEADER.encode()
        for number in range(count):
            yield unit(en=f"a sentence of some words, number {number}", de="ein Satz").encode()
        yield FOOTER.encode()

    def peak(count: int) -> int:
        tracemalloc.start()
        try:
            assert sum(1 for _ in TMX(Pair).read_stream(lines(count))) == count
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(10)
    assert peak(20_000) < peak(1_000) + 50_000


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("<tmx>\n<body>\n<tu></body>", "a.tmx:3: not XML: mismatched tag"),
        ("<tmx>\n<body>\n", "a.tmx:3: not XML: no element found"),
        ("source\ttarget\na\tb\n", "a.tmx:1: not XML: syntax error"),
        ("<tmx><body>&nbsp;</body></tmx>", "a.tmx:1: not XML: undefined entity"),
        (HEADER + unit(en="a&nbsp;b", de="c") + FOOTER, "a.tmx:7: not XML: undefined entity &nbsp;"),
        ("<html>\n<body/></html>", "a.tmx:1: <html> where <tmx> is expected"),
        (HEADER + "\n<tu>\n<tuv><seg>a</seg></tuv></tu>" + FOOTER, "a.tmx:8: a tuv without a language (xml:lang)"),
        (HEADER + FOOTER, "a.tmx: the file holds no examples"),
        (HEADER + "<tu/>" + FOOTER, "a.tmx: the file holds no examples"),
    ],
)
def test_what_is_no_memory_is_named_with_the_line(content, message):
    with pytest.raises(BadData) as caught:
        read(content, "en", "de")
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "entity",
    ['<!ENTITY a "ha">', '<!ENTITY a SYSTEM "file:///etc/passwd">', '<!ENTITY % a SYSTEM "http://127.0.0.1/x">'],
)
def test_a_file_that_defines_entities_is_refused(entity):
    content = f'<?xml version="1.0"?>\n<!DOCTYPE tmx [\n{entity}\n]>\n<tmx><body>{unit(en="&a;", de="x")}</body></tmx>'
    with pytest.raises(
        BadData, match=r"^a\.tmx:3: it defines an entity, which is not safe to read and which TMX has no"
    ):
        read(content, "en", "de")


@pytest.mark.parametrize(
    ("example", "message"),
    [
        (Pair(source="a\x0cb", target="c"), r"cannot write 'a\\x0cb' as TMX: XML has no way to write U\+000C"),
        (Pair(source="a", target="\uffff"), r"as TMX: XML has no way to write U\+FFFF"),
        (Pair(source="", target="c"), "cannot write an empty source as TMX: it would be passed over"),
    ],
)
def test_what_xml_cannot_hold_is_refused(example, message):
    with pytest.raises(BadData, match=message):
        written([example])


def test_only_pairs_are_held():
    with pytest.raises(BadOption, match=r"^the format tmx holds pairs of source and target, not texts with labels$"):
        TMX(LabelledText)
