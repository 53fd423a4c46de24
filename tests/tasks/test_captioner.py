"""Pictures to captions: what the options mean, what is looked at, and what is refused."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from unrolled import Captioner as Model
from unrolled import bundle, console
from unrolled.data.captions import Captioned, as_image
from unrolled.data.examples import Origin
from unrolled.errors import BadData, BadOption, MissingExtra, UnknownName
from unrolled.inspection import laws
from unrolled.inspection.attention import attention
from unrolled.tasks._moved import moved
from unrolled.tasks.captioner import Captioner

SIZES = {"size": 8, "blocks": [4, 6], "picture_dropout": 0.0}
UP_TO = {"cider": 10.0}
KEPT = dict.fromkeys(("embedding_dropout", "dropout", "readout_dropout"), 0.0)
COLOURS = {"red": (220, 30, 20), "green": (20, 200, 60), "blue": (30, 40, 230)}


def picture(colour: str, shape: str, seed: int = 0, size: int = 8) -> np.ndarray:
    """A shape in a colour on white, with some noise."""
    found = np.full((size, size, 3), 250, dtype=np.uint8)
    middle = slice(size // 4, -(size // 4))
    if shape == "box":
        found[middle, middle] = COLOURS[colour]
    elif shape == "bar":
        found[:, middle] = COLOURS[colour]
    else:
        found[np.eye(size, dtype=bool)] = COLOURS[colour]
    noise = np.random.default_rng(seed).integers(-5, 6, found.shape)
    return (found.astype(int) + noise).clip(0, 255).astype(np.uint8)


CAPTIONS = ("red box", "a green bar", "blue", "a line that is red", "green box", "blue bar .")
SHOWN = (("red", "box"), ("green", "bar"), ("blue", "line"), ("red", "line"), ("green", "box"), ("blue", "bar"))


def examples() -> list[Captioned]:
    """For the laws of `test_every_task`: captions of different lengths, and some of one length."""
    shown = zip(SHOWN, CAPTIONS, strict=True)
    return [Captioned(image=picture(*what, k), caption=caption) for k, (what, caption) in enumerate(shown)]


def made(given: list[Captioned] | None = None, **options: Any) -> Captioner:
    torch.manual_seed(1)
    small: dict[str, Any] = {"hidden_size": 6, "word_size": 5, "attention_size": 4, "layers": 1}
    pictures = {} if given and given[0].image.ndim == 2 else SIZES
    return Captioner.prepare(examples() if given is None else given, **{**small, **pictures, **options}).eval()


def stored() -> list[Captioned]:
    """Features of pictures, of different numbers of places."""
    rng = np.random.default_rng(3)
    found = [as_image(rng.normal(size=(1 + k % 3, 4))) for k in range(6)]
    return [Captioned(image=image, caption=caption) for image, caption in zip(found, CAPTIONS, strict=True)]


def must_obey_the_laws(task: Captioner, given: list[Captioned]) -> None:
    for law in (laws.batch_mates_change_nothing, laws.order_changes_nothing, laws.loss_is_the_sum_of_its_rows):
        verdict = law(task, given)
        assert verdict.holds, verdict


def test_it_learns_colours_and_shapes_and_names_pictures_that_it_has_not_seen(tmp_path: Path) -> None:
    pairs = [(colour, shape) for colour in COLOURS for shape in ("box", "bar", "line")]
    train = [Captioned(image=picture(*pair, k), caption=" ".join(pair)) for k in range(6) for pair in pairs]
    new = [Captioned(image=picture(*pair, 99), caption=" ".join(pair)) for pair in pairs]
    sizes = {"size": 8, "blocks": [8, 12], "hidden_size": 24, "word_size": 16, "attention_size": 12, "layers": 1}
    model = Model(**sizes, **KEPT, shifted=0, picture_dropout=0.0)
    model.fit(train, train[:9], epochs=25, batch_rows=9, learning_rate=1e-2, averaging="none", checks=4)
    figures = model.evaluate(new)["metrics"]
    assert (figures["word_f1"], figures["exact_match"]) == (1.0, 1.0)
    model.save(tmp_path / "m")
    assert Model.load(tmp_path / "m").predict(new) == model.predict(new)


def test_pictures_are_made_one_size_and_grey_ones_are_read() -> None:
    task = made()
    large = np.repeat(np.repeat(picture("red", "box"), 3, axis=0), 2, axis=1)
    grey = np.full((8, 8, 1), 9, dtype=np.uint8)
    sources = [task.encode(Captioned(image=image)).source for image in (large, grey)]
    assert [source.shape for source in sources] == [(8, 8, 3)] * 2
    assert np.array_equal(sources[1], np.full((8, 8, 3), 9))
    assert task.encode(Captioned(image=grey)).tokens == tuple(f"{r},{c}" for r in range(1, 5) for c in range(1, 5))


def test_with_and_without_attention_it_obeys_the_laws() -> None:
    for options in (
        {"attention": "none", "vector": "every"},
        {"attention": "multihead", "heads": 2},
        {"layers": 2, "depth": 2, "place": "between"},
        {"bridge": "zero", "place": "before"},
    ):
        must_obey_the_laws(made(**options), examples())


def test_without_attention_the_picture_is_in_the_first_state() -> None:
    task = made(attention="none")
    batch = task.collate([task.encode(example) for example in examples()[:2]])
    memory = task.network.encode(batch.sources)
    assert memory.source == ()
    assert not torch.allclose(memory.state.layers[0][0][0], memory.state.layers[0][0][1])
    with pytest.raises(BadOption, match="there is no attention to be shown"):
        task.align(examples())


def test_stored_features_are_read_in_place_of_pictures() -> None:
    task = made(stored())
    assert task.options["inputs"] == 4
    assert task.encode(stored()[2]).tokens == ("1", "2", "3")
    must_obey_the_laws(task, stored())
    assert [weights.shape[1] for _, _, weights in task.align(stored())] == [1, 2, 3, 1, 2, 3]
    assert task.pictures(stored()) == [None] * 6
    double = made(stored()).double()
    assert double.loss(double.collate([double.encode(e) for e in stored()])).total.dtype == torch.float64
    model = Model(task)
    assert model.predict(stored()[0].image).caption == model.predict([stored()[0]])[0].caption


def test_a_picture_is_predicted_from_an_array_a_list_and_a_path(tmp_path: Path, capsys: Any) -> None:
    pillow = pytest.importorskip("PIL.Image", reason="the extra `pictures` is not installed")
    model, image = Model(made()), picture("red", "box")
    pillow.fromarray(image).save(tmp_path / "smile.png")
    wanted = model.predict(Captioned(image=image)).caption
    for raw in (image, pillow.fromarray(image), tmp_path / "smile.png"):
        assert model.predict(raw).caption == wanted
    assert [e.caption for e in model.predict([image.tolist(), pillow.fromarray(image)])] == [wanted] * 2
    assert [e.caption for e in model.predict(np.stack([image] * 2))] == [wanted] * 2
    console.predict(model, str(tmp_path / "smile.png"), None, {}, as_json=False)
    assert capsys.readouterr().out == f"{wanted}\n"
    (found,) = model.predict_file(tmp_path / "smile.png", tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text().splitlines()[1].startswith(f"{tmp_path / 'smile.png'},")
    assert found.caption == wanted
    with pytest.raises(BadData, match=r"a text, 'smile\.png', where a picture is expected: an array, or a path"):
        model.predict("smile.png")


def test_a_beam_names_further_captions_and_an_unknown_word_is_left_out() -> None:
    task = made()
    (one,) = task.predict(examples()[:1], beam=4, best=3)
    assert len(one.alternatives or ()) == 2
    with torch.no_grad():
        task.network.softmax.bias[0] = 50.0
    (unknown,) = task.predict(examples()[:1], beam=1, maximum_length=3)
    assert unknown.caption == ""
    (mark,) = task.predict(examples()[:1], beam=1, maximum_length=3, unknown="mark")
    assert mark.caption


def test_every_word_is_shown_over_its_picture() -> None:
    task = made()
    found = attention(task, examples())
    (pixels, grid) = found.pictures[0] or (None, None)
    assert np.array_equal(np.asarray(pixels), task.encode(examples()[0]).source)
    assert grid == (4, 4)
    assert found.alignments[0].target_tokens == ("red", "box", "<end>")
    assert found.alignments[0].weights.shape == (3, 16)
    assert found.to_png().startswith(b"\x89PNG")


# ---------------------------------------------------------------------------------------------- moving pictures


def test_a_picture_is_moved_and_mirrored_as_seed_epoch_and_row_say() -> None:
    task = made(shifted=2, mirrored=0.5)
    how = {"elements": 10**6, "rows": 6}
    feeds = [task.feed(examples(), seed=seed, **how) for seed in (1, 1, 2)]
    taken = [[feed.take(piece) for piece in feed.plan(epoch)] for feed in feeds for epoch in (0, 1)]
    sources = [[one.source for batch in epoch for one in batch] for epoch in taken]
    same = [all(np.array_equal(a, b) for a, b in zip(sources[0], other, strict=True)) for other in sources[1:]]
    assert same == [False, True, False, False, False]
    originals = [task.encode(example).source for example in examples()]
    every = [
        moved(image, down, right, mirror=mirror)
        for image in originals
        for down in range(-2, 3)
        for right in range(-2, 3)
        for mirror in (False, True)
    ]
    assert all(any(np.array_equal(source, one) for one in every) for source in sources[0])
    assert feeds[0].size(feeds[0].plan(0)[0])[0] == 6


def test_what_comes_in_is_the_edge() -> None:
    image = np.arange(6).reshape(2, 3, 1)
    assert moved(image, 0, 0)[:, :, 0].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert moved(image, 0, 1)[:, :, 0].tolist() == [[0, 0, 1], [3, 3, 4]]
    assert moved(image, -1, 0)[:, :, 0].tolist() == [[3, 4, 5], [3, 4, 5]]
    assert moved(image, 0, 1, mirror=True)[:, :, 0].tolist() == [[1, 0, 0], [4, 3, 3]]


def test_without_moving_the_pictures_are_those_that_were_given() -> None:
    task = made(shifted=0)
    feed = task.feed(examples(), seed=1, elements=10**6, rows=6)
    (piece,) = feed.plan(0)
    assert np.array_equal(feed.take(piece)[0].source, task.encode(examples()[int(piece[1][0])]).source)


# ---------------------------------------------------------------------------------------------- scores


def test_of_a_picture_any_of_its_captions_counts() -> None:
    task, image = made(), picture("red", "box")
    gold = [Captioned(image=image, caption=c) for c in ("red box", "a box")]
    gold.append(Captioned(image=picture("blue", "bar"), caption="blue bar"))
    said = [Captioned(image=e.image, caption=c) for e, c in zip(gold, ("a box", "a box", "blue box"), strict=True)]
    figures = task.score(said, gold)
    assert figures["exact_match"] == 0.5
    assert figures["word_f1"] == pytest.approx(0.75)
    assert set(figures) == {"word_f1", "exact_match", "bleu", "chrf", "cider", "perplexity"}
    assert set(task.signatures()) == {"bleu", "chrf"}
    upper = [Captioned(image=e.image, caption=(e.caption or "").upper()) for e in gold]
    assert made(case="lower").score(upper, gold)["exact_match"] == 1.0
    assert task.score(upper, gold)["exact_match"] == 0.0


# ---------------------------------------------------------------------------------------------- other encoders


class Tiny(nn.Module):
    """Stands in for a network of torchvision's: convolutions, a norm, pooling and classes."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 5, 3, stride=2, padding=1), nn.BatchNorm2d(5)
        self.avgpool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(5, 10)


@pytest.fixture
def torchvision(monkeypatch: pytest.MonkeyPatch) -> None:
    models = SimpleNamespace(list_models=lambda module: ["tiny"], get_model=lambda name, weights: Tiny())
    module = ModuleType("torchvision")
    module.models = models  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torchvision", module)


@pytest.mark.usefixtures("torchvision")
def test_a_network_of_torchvision_looks_with_its_weights_and_keeps_its_norms(tmp_path: Path) -> None:
    torch.manual_seed(5)
    learnt = Tiny()
    learnt.bn1.running_mean.copy_(torch.arange(5.0))
    save_file(learnt.state_dict(), tmp_path / "tiny.safetensors")
    how = {"encoder": "torchvision:tiny", "encoder_weights": str(tmp_path / "tiny.safetensors"), "blocks": None, **KEPT}
    task = made(encoder_training="frozen", **how)
    looks = task.network.encoder.looks
    assert torch.equal(looks.network.bn1.running_mean, torch.arange(5.0))
    assert not any(p.requires_grad for p in looks.parameters())
    assert task.grid == (4, 4)
    task.train()  # nothing is dropped
    must_obey_the_laws(task, examples())
    assert torch.equal(looks.network.bn1.running_mean, torch.arange(5.0))
    x = torch.rand(2, 3, 8, 8)
    scaled = (x - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)) / torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    torch.testing.assert_close(looks(x), learnt.eval().bn1(learnt.conv1(scaled)))
    bundle.save(task, tmp_path / "m")
    again = bundle.load(tmp_path / "m")
    assert laws.saved_equals_loaded(task, again, examples()).holds
    assert all(p.requires_grad for p in made(**how).network.encoder.parameters())


@pytest.mark.usefixtures("torchvision")
def test_weights_of_another_network_are_named(tmp_path: Path) -> None:
    save_file({"conv1.weight": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(
        BadOption, match=r"encoder_weights: .*other\.safetensors is of another network: it has no 'conv1"
    ):
        made(encoder="torchvision:tiny", encoder_weights=str(tmp_path / "other.safetensors"))
    (tmp_path / "text.safetensors").write_text("no weights")
    with pytest.raises(BadOption, match=r"encoder_weights: .*text\.safetensors cannot be read as safetensors"):
        made(encoder="torchvision:tiny", encoder_weights=str(tmp_path / "text.safetensors"))
    with pytest.raises(UnknownName, match="unknown network of torchvision 'tny'; did you mean 'tiny'"):
        made(encoder="torchvision:tny")


def test_a_network_of_timm_gives_its_last_grid(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("timm")
    asked: dict[str, Any] = {}

    def create(name: str, **how: Any) -> nn.Module:
        asked.update(how)
        return nn.Sequential(nn.Conv2d(3, 7, 3, stride=4, padding=1)) if name == "net" else nn.Flatten()

    module.create_model, module.list_models = create, lambda: ["net", "flat"]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "timm", module)
    task = made(encoder="timm:net")
    assert (task.network.encoder.output_size, task.grid) == (7, (2, 2))
    assert asked == {"pretrained": False, "num_classes": 0, "global_pool": ""}
    with pytest.raises(BadOption, match="such an encoder gives no grid of features"):
        made(encoder="timm:flat")


@pytest.mark.parametrize("library", ["torchvision", "timm"])
def test_a_library_that_is_not_installed_is_named(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(
        MissingExtra, match=f"the encoder {library}:net needs the package {library}: pip install {library}$"
    ):
        made(encoder=f"{library}:net")
    with pytest.raises(
        UnknownName, match="unknown encoder of pictures 'resnet18'; there are: convolutional, timm:NAME"
    ):
        made(encoder="resnet18")


# ---------------------------------------------------------------------------------------------- what is refused


def test_what_cannot_be_learnt_or_read_is_named() -> None:
    origin = Origin("all.csv", 4)
    silent = Captioned(image=picture("red", "box"), origin=origin)
    with pytest.raises(BadData, match=r"^all\.csv:4: a picture without a caption$"):
        made([*examples(), silent])
    task = made()
    with pytest.raises(BadData, match=r"^all\.csv:4: a picture without a caption$"):
        task.score([silent], [silent])
    with pytest.raises(BadData, match="an example without a target cannot be learnt from"):
        task.loss(task.collate([task.encode(silent)]))
    with pytest.raises(BadData, match="there are no examples to learn from"):
        made([])
    with pytest.raises(BadData, match=r"^all\.csv:4: an array of float64, shape \(2, 2, 2\), where a picture is exp"):
        task.encode(Captioned(image=np.zeros((2, 2, 2)), origin=origin))
    with pytest.raises(BadData, match=r"^all\.csv:4: stored features, where this model reads pictures$"):
        task.encode(Captioned(image=stored()[0].image, origin=origin))
    with pytest.raises(BadData, match=r"^all\.csv:4: a picture, where this model reads stored features$"):
        made(stored()).encode(silent)
    with pytest.raises(BadData, match=r"^all\.csv:4: 3 features of a place; training had 4$"):
        made(stored()).encode(Captioned(image=as_image([0.5, 1, 2]), origin=origin))
    with pytest.raises(BadData, match=r"the target has 4 tokens, and longest=3 is the limit"):
        made(longest=3).encode(Captioned(image=silent.image, caption="a b c d"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shifted": -1}, "shifted must be 0 or more, not -1"),
        ({"mirrored": 1.5}, "mirrored must be a share from 0 to 1, not 1.5"),
        ({"blocks": []}, "blocks must be sizes of 1 or more"),
        ({"blocks": [4, 0]}, "blocks must be sizes of 1 or more"),
        ({"size": 1}, "a picture of 1 x 1 cannot be halved 1 times"),
        ({"inputs": 3}, "inputs is not to be given: the training examples say it"),
        ({"encoder_training": "frozen"}, "encoder_training=frozen is for an encoder that has learnt"),
        ({"encoder_weights": "x"}, "encoder_weights are of a network of torchvision's or timm's"),
    ],
)
def test_options_that_cannot_be_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(BadOption, match=message):
        made(**options)


def test_options_of_pictures_are_none_of_features() -> None:
    for name, value in (("size", 8), ("blocks", [4]), ("encoder_weights", "x")):
        with pytest.raises(BadOption, match=f"^{name} is an option for pictures; stored features have none$"):
            made(stored(), **{name: value})
