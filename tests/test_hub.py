"""Model folders on a hub, by a stand-in for its library: no test needs the network."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from unrolled import Classifier, hub
from unrolled.data.examples import LabelledText
from unrolled.errors import BadModel, CannotWrite, MissingExtra


class StandIn(SimpleNamespace):
    """A hub that is a folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder, self.private = folder, {}

    def create_repo(self, name: str, *, private: bool, exist_ok: bool) -> None:
        assert exist_ok
        self.private[name] = private

    def upload_folder(self, *, repo_id: str, folder_path: str, allow_patterns: list[str]) -> str:
        for pattern in allow_patterns:
            for path in Path(folder_path).glob(pattern):
                (self.folder / repo_id).mkdir(parents=True, exist_ok=True)
                shutil.copy(path, self.folder / repo_id)
        return f"https://hub.example/{repo_id}"

    def snapshot_download(self, name: str, *, allow_patterns: list[str]) -> str:
        assert "*.safetensors" in allow_patterns
        assert not any("bin" in pattern or "pkl" in pattern for pattern in allow_patterns)
        if not (self.folder / name).exists():
            raise RuntimeError("404")
        return str(self.folder / name)


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    found = StandIn(tmp_path / "hub")
    monkeypatch.setitem(sys.modules, "huggingface_hub", found)
    monkeypatch.chdir(tmp_path)
    return found


@pytest.fixture(scope="module")
def model() -> Any:
    texts = [LabelledText(text=f"film {k}", label="ab"[k % 2]) for k in range(20)]
    return Classifier(hidden_size=3, word_size=3, epochs=1, checks=1).fit(texts)


def test_a_model_is_published_and_had_back_by_its_name(stand_in: StandIn, model: Any) -> None:
    assert model.push_to_hub("me/films", private=True) == "https://hub.example/me/films"
    assert stand_in.private == {"me/films": True}
    assert (stand_in.folder / "me/films/README.md").exists()
    again = Classifier.from_pretrained("me/films")
    assert again.predict("film 1").probabilities == model.predict("film 1").probabilities


def test_a_folder_of_that_name_goes_first(stand_in: StandIn, model: Any, tmp_path: Path) -> None:
    model.save(tmp_path / "me" / "films")
    assert Classifier.from_pretrained("me/films").predict("film 1").label
    with pytest.raises(BadModel, match="there is no folder me/other"):
        Classifier.from_pretrained("me/other")


def test_a_name_that_the_hub_does_not_know(stand_in: StandIn) -> None:
    with pytest.raises(BadModel, match="there is no folder 'me/none', and the hub gave no model of that name: 404"):
        Classifier.from_pretrained("me/none")


def test_a_hub_that_refuses(stand_in: StandIn, model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise RuntimeError("401 Unauthorized")

    monkeypatch.setattr(stand_in, "create_repo", refuse, raising=False)
    with pytest.raises(CannotWrite, match="the hub did not take 'me/films': 401 Unauthorized"):
        model.push_to_hub("me/films")


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingExtra, match=r"the hub needs the package huggingface_hub: pip install 'unrolled\[hub\]'"):
        hub.fetch("me/films")
