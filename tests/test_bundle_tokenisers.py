"""Tokenisers that are stored with a model: format version 2, which only such models have."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from unrolled import bundle
from unrolled.data.examples import LabelledText
from unrolled.data.tokenisers.base import Tokeniser
from unrolled.data.tokenisers.bpe import BPE
from unrolled.data.tokenisers.unigram import Unigram
from unrolled.data.tokenisers.words import Words
from unrolled.data.vocabulary import Vocabulary
from unrolled.errors import BadModel, UnknownName
from unrolled.tasks.base import Task

TEXTS = ["Ein Mann, ein Haus.", "A man, a house."]
STORED = ["tokeniser.source.json", "tokeniser.target.json"]


class Rewriter(Task):
    """As little of a task as can be stored; the second argument is there for who has tokenisers."""

    example = LabelledText
    metric = "accuracy"

    def __init__(
        self,
        vocabularies: Mapping[str, Vocabulary],
        tokenisers: Mapping[str, Tokeniser] | None = None,
        *,
        size: int = 2,
    ) -> None:
        super().__init__(vocabularies, tokenisers)
        self.table = torch.nn.Embedding(len(vocabularies["source"]), size)

    prepare = encode = collate = loss = decide = score = read = None  # type: ignore[assignment]


class Plain(Rewriter):
    """A task of the kind that knows nothing of tokenisers."""

    def __init__(self, vocabularies: Mapping[str, Vocabulary], *, size: int = 2) -> None:
        super().__init__(vocabularies, size=size)


@pytest.fixture(autouse=True)
def _found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "find", lambda *_: Rewriter)


def made(source: Tokeniser | None = None) -> Rewriter:
    tokenisers = {"source": source or BPE.build(TEXTS, size=30, case="lower"), "target": Words()}
    vocabularies = {name: Vocabulary.build(kind.tokens_of_all(TEXTS)) for name, kind in tokenisers.items()}
    return Rewriter(vocabularies, tokenisers, size=3)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    bundle.save(made(), tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.parametrize("source", [BPE.build(TEXTS, size=30), Unigram.build(TEXTS, size=30), Words(case="lower")])
def test_tokenisers_come_back_with_their_names(tmp_path: Path, source: Tokeniser) -> None:
    task = made(source)
    bundle.save(task, tmp_path / "model")
    again = bundle.load(tmp_path / "model")
    assert (again.vocabularies, again.tokenisers, again.options) == (task.vocabularies, task.tokenisers, {"size": 3})
    assert again.tokenisers["source"].tokens_of_all(TEXTS) == task.tokenisers["source"].tokens_of_all(TEXTS)
    bundle.save(again, tmp_path / "again")
    for path in (tmp_path / "model").iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()


def test_the_configuration_lists_them_with_their_checksums(model: Path) -> None:
    config = json.loads((model / "config.json").read_text())
    assert (config["format"], config["tokenisers"]) == (2, ["source", "target"])
    for name in STORED:
        assert config["sha256"][name] == hashlib.sha256((model / name).read_bytes()).hexdigest()


def test_a_task_without_any_is_what_the_first_version_wrote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "find", lambda *_: Plain)
    bundle.save(Plain({"source": Vocabulary(("a",))}), tmp_path / "model")
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    assert config["format"] == 1
    assert "tokenisers" not in config
    assert bundle.load(tmp_path / "model").tokenisers == {}


def test_an_unrolled_that_knows_no_tokenisers_says_so(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "FORMAT", 1)
    with pytest.raises(BadModel, match=r"has format version 2; this unrolled reads up to 1: upgrade unrolled$"):
        bundle.load(model)


@pytest.mark.parametrize("name", STORED)
def test_a_missing_or_altered_tokeniser_is_named(model: Path, name: str) -> None:
    content = (model / name).read_bytes()
    for altered in (content[:-3], content.replace(b"lower", b"keep").replace(b'"keep"', b'"lower"', 1), b""):
        if altered != content:
            (model / name).write_bytes(altered)
            with pytest.raises(BadModel, match=rf"{name} is not what was saved: its checksum differs"):
                bundle.load(model)
    (model / name).unlink()
    with pytest.raises(BadModel, match=rf"is not whole: {name} is missing$"):
        bundle.load(model)


def rewrite(model: Path, name: str, content: bytes, **changes: Any) -> None:
    """Put another tokeniser in the place of one, and make all checksums right again."""
    (model / name).write_bytes(content)
    config = {**json.loads((model / "config.json").read_text()), **changes}
    config["sha256"][name] = hashlib.sha256(content).hexdigest()
    config.pop("checksum")
    text = json.dumps(config, ensure_ascii=False, indent=1, sort_keys=True) + "\n"
    config["checksum"] = hashlib.sha256(text.encode()).hexdigest()
    (model / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b'{"tokeniser": "bpe", "case": "keep"}',
        b'{"tokeniser": "bpe", "case": "keep", "alphabet": "a", "merges": ["a b"]}',
        b'{"tokeniser": "unigram", "case": "keep", "scores": {"a": NaN}}',
        b'{"tokeniser": "unigram", "case": "keep", "scores": {"\\ud800": -1.0}}',
        b'{"tokeniser": "bpe", "case": "keep", "alphabet": "\\ud800", "merges": []}',
    ],
)
def test_a_tokeniser_that_is_none_does_not_fit(model: Path, content: bytes) -> None:
    rewrite(model, STORED[0], content)
    with pytest.raises(BadModel, match="model does not fit together: "):
        bundle.load(model)


def test_an_unknown_tokeniser_is_named_with_the_nearest(model: Path) -> None:
    rewrite(model, STORED[0], b'{"tokeniser": "unigrams", "case": "keep"}')
    with pytest.raises(UnknownName, match=r"^unknown tokenisation 'unigrams'; did you mean 'unigram'\?$"):
        bundle.load(model)


def test_a_list_of_tokenisers_that_is_none_does_not_fit(model: Path) -> None:
    rewrite(model, STORED[0], (model / STORED[0]).read_bytes(), tokenisers=3)
    with pytest.raises(BadModel, match="model does not fit together: "):
        bundle.load(model)


def test_a_copy_of_a_task_has_its_tokenisers() -> None:
    task = made()
    assert copy.deepcopy(task).tokenisers == task.tokenisers
