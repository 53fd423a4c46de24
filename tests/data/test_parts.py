"""Which rows of a table are train, validation and test, where a column tells it."""

from __future__ import annotations

from pathlib import Path

import pytest

from unrolled import Classifier
from unrolled.data import parts, reading
from unrolled.data.examples import LabelledText
from unrolled.errors import BadData, BadOption, UnknownName
from unrolled.recipe import build

ROWS = [f"w{k % 3}\t{'xy'[k % 2]}\ttrain" for k in range(12)]
ROWS += ["w0\tx\tdev", "w1\ty\ttest_new", "w2\tx\tTest_old", "w0\ty\ttest"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "all.tsv").write_text("text\tlabel\tpart\n" + "\n".join(ROWS) + "\n")
    return tmp_path / "all.tsv"


def texts(path: Path, name: str | None) -> list[str]:
    return [e.text for e in parts.of_part(reading.read(path, LabelledText), "part", name)]


def test_all_tests_are_the_test_part_and_each_is_one_by_itself(path: Path) -> None:
    assert texts(path, None) == texts(path, "test") == ["w1", "w2", "w0"]
    assert texts(path, "test_new") == ["w1"]
    assert texts(path, "TEST_OLD") == ["w2"]
    assert texts(path, "valid") == texts(path, "dev") == ["w0"]
    assert len(texts(path, "train")) == 12


def test_a_part_that_is_not_there_is_named_with_those_that_are(path: Path) -> None:
    with pytest.raises(UnknownName, match=r"unknown part in the column 'part' 'test_knew'; did you mean 'test_new'"):
        texts(path, "test_knew")
    with pytest.raises(BadOption, match="part=test: there is no column 'split' that tells the parts"):
        list(parts.of_part(reading.read(path, LabelledText), "split", "test"))
    path.write_text("text\tlabel\tpart\na\tx\ttrain\nb\ty\tprotest\n")
    with pytest.raises(BadData, match=r"all\.tsv:3: 'protest' in the column 'part' where one of train, test"):
        texts(path, None)


def test_a_model_is_evaluated_on_one_of_several_tests(path: Path) -> None:
    model = Classifier.train(path, split="part", hidden_size=4, word_size=4, characters="none", epochs=1)
    assert model.evaluate(path)["examples"] == 3
    assert model.evaluate(path, part="test_new")["examples"] == 1
    assert model.evaluate(path, part="valid")["examples"] == 1
    with pytest.raises(BadOption, match=r"part=dev is of a table with a column that tells the parts: give split=COL"):
        Classifier(model.task).evaluate(path, part="dev")


def test_a_training_takes_all_parts() -> None:
    with pytest.raises(BadOption, match="part is of an evaluation; a training takes the parts that the column"):
        build("classifier", "x.tsv", {"split": "part", "part": "test"})
