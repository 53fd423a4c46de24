"""Tasks that begin with trained language models: the vectors of tokens, how layers learn, and what is stored."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence

from unrolled import Classifier, LanguageModel, Tagger, api, bundle
from unrolled.data.examples import LabelledText, Passage, TaggedTokens
from unrolled.data.tokens import tokenise
from unrolled.errors import BadModel, BadOption
from unrolled.recipe import build
from unrolled.tasks import classifier, language_model, regressor, tagger
from unrolled.tasks._pretrained import Pretrained
from unrolled.tasks._reader import Reader
from unrolled.training.events import Saved, Step
from unrolled.training.fit import fit
from unrolled.training.settings import Settings
from unrolled.unroll.packing import equal

TEXTS = ["A quiet, generous film.", "It's dull<br />and long!", "Go and see it"]
LABELS = ["good", "bad", "good"]
KINDS = ["words", "blanks", "characters", "bpe", "unigram"]
STILL: dict[str, Any] = {"dropout": 0.0, "embedding_dropout": 0.0}
DRY: dict[str, Any] = {"type_dropout": 0.0, "embedding_dropout": 0.0, "dropout": 0.0}


def language(
    tokens: str = "words", direction: str = "forward", case: str = "keep", **rates: float
) -> language_model.LanguageModel:
    torch.manual_seed(3)
    lines = [Passage(text=text) for text in TEXTS * 4]
    how: dict[str, Any] = {"tokens": tokens, "direction": direction, "case": case, "pieces": 40}
    return language_model.LanguageModel.prepare(lines, hidden_size=7, word_size=6, **{**how, **DRY, **rates}).eval()


def pretrained(model: language_model.LanguageModel) -> Pretrained:
    made = Pretrained(model.options, model.elements, model.tokeniser)
    made.reader.load_state_dict({name: model.network.state_dict()[name] for name in made.reader.state_dict()})
    return made.eval()


def examples() -> list[LabelledText]:
    return [LabelledText(text=text, label=label) for text, label in zip(TEXTS, LABELS, strict=True)]


def classifying(models: list[Any], **options: Any) -> classifier.Classifier:
    torch.manual_seed(4)
    return classifier.Classifier.prepare(examples(), encoder=models, **{**STILL, **options})


# ------------------------------------------------------------------ where a token's vector is found


def test_a_word_of_characters_is_known_behind_its_last_and_backwards_behind_its_first() -> None:
    """ab cd: the line end, then a b blank c d; backwards the line end, then d c blank b a."""
    text, tokens = "ab cd", ["ab", "cd"]
    torch.manual_seed(0)
    made = [
        language_model.LanguageModel.prepare([Passage(text=text)], tokens="characters", direction=d)
        for d in ("forward", "backward")
    ]
    ahead, back = (Pretrained(m.options, m.elements, m.tokeniser).encode(text, tokens) for m in made)
    assert made[0].elements.decode(ahead.ids) == ("\n", "a", "b", " ", "c", "d")
    assert ahead.places.tolist() == [2, 5]
    assert made[1].elements.decode(back.ids) == ("\n", "d", "c", " ", "b", "a")
    assert back.places.tolist() == [5, 2]


def test_a_word_of_bytes_is_known_behind_the_last_of_its_last_character() -> None:
    """né €: n, two bytes, a blank, three bytes; the blank between them is of two bytes, too, and counts as none."""
    text, tokens = "né\u00a0€", ["né", "€"]
    torch.manual_seed(0)
    made = [
        language_model.LanguageModel.prepare([Passage(text=text)], tokens="bytes", direction=d)
        for d in ("forward", "backward")
    ]
    ahead, back = (Pretrained(m.options, m.elements, m.tokeniser).encode(text, tokens) for m in made)
    assert made[0].elements.decode(ahead.ids)[1:4] == ("n", "<0xC3>", "<0xA9>")
    assert ahead.places.tolist() == [3, 8]
    assert made[1].elements.decode(back.ids)[1:4] == ("<0xAC>", "<0x82>", "<0xE2>")
    assert back.places.tolist() == [8, 3]


BASES = "GATTA CA"


@pytest.mark.parametrize(
    ("rule", "ahead", "back"),
    [("3-mers", [3, 4, 5, 8], [8, 7, 6, 2]), ("placed", [1, 2, 3, 4, 5, 7, 8], [8, 7, 6, 5, 4, 2, 1])],
)
def test_a_run_of_bases_is_known_behind_its_last_and_backwards_behind_its_first(
    rule: Any, ahead: list[int], back: list[int]
) -> None:
    """The line end, then G A T T A blank C A: GAT, ATT, TTA and CA; backwards A C blank A T T A G."""
    for direction, places in (("forward", ahead), ("backward", back)):
        made = language_model.LanguageModel.prepare([Passage(text=BASES)], tokens="characters", direction=direction)
        found = Pretrained(made.options, made.elements, made.tokeniser).encode(BASES, tokenise(BASES, rule), rule)
        assert found.places.tolist() == places


@pytest.mark.parametrize("case", ["keep", "lower"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", [*TEXTS, "unseen wörds, 'quoted'"])
def test_the_element_at_which_a_token_is_known_ends_or_begins_it(kind: str, case: str, text: str) -> None:
    tokens = classifier.tokenise(text, "words")
    for direction in ("forward", "backward"):
        model = language(kind, direction, case)
        found = pretrained(model).encode(text, tokens)
        cut = model.tokeniser.tokens(text)
        surfaces = ["".join(model.tokeniser.text([piece]).split()) for piece in cut]
        dense, at = "".join(text.split()).lower(), 0
        assert "".join(surfaces).lower() == dense
        for token, place in zip(tokens, found.places.tolist(), strict=True):
            at = dense.index(token.lower(), at)
            last = at + len(token) - 1
            element = place - 1 if direction == "forward" else len(cut) - place
            begin = sum(map(len, surfaces[:element]))
            covered = range(begin, begin + len(surfaces[element]))
            assert (last if direction == "forward" else at) in covered
            at = last + 1


def test_an_element_that_is_unknown_for_its_marks_alone_is_the_most_frequent_without_them() -> None:
    """The language model saw a full stop behind words only, the tagger's tokens have blanks between them."""
    model = language("words")
    assert "." not in model.elements
    assert "￭." in model.elements
    found = pretrained(model).encode("A film .", ["A", "film", "."])
    assert model.elements.decode(found.ids) == ("\n", "A", "film", "￭.")
    letters = pretrained(language("characters")).encode("A\u2003f", ["A", "f"])
    assert language("characters").elements.decode(letters.ids) == ("\n", "A", "<unk>", "f")
    assert model.elements.decode(pretrained(model).encode("A zebra", ["A", "zebra"]).ids) == ("\n", "A", "<unk>")


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_the_vectors_are_those_of_the_language_model_for_the_text_alone(direction: str) -> None:
    model = language("characters", direction)
    task = classifying([model], encoder_training="frozen").eval()
    batch = task.collate([task.encode(example) for example in examples()])
    assert task.reader.encoders is not None
    (vectors,) = task.reader.encoders(batch.contexts)
    laid = torch.empty_like(vectors)
    laid[torch.from_numpy(batch.place)] = vectors
    wanted = []
    for text in TEXTS:
        context = pretrained(model).encode(text, classifier.tokenise(text, "words"))
        ids = torch.from_numpy(context.ids.copy())
        with torch.no_grad():
            x, _ = model.network.read(PackedSequence(ids, equal(len(ids), 1)))
        wanted.append(x.data[torch.from_numpy(context.places)])
    torch.testing.assert_close(laid, torch.cat(wanted), rtol=1e-4, atol=1e-5)


# ------------------------------------------------------------------ the tasks


@pytest.mark.parametrize("tuned", ["tuned", "frozen"])
def test_gradients_reach_an_encoder_that_learns_and_no_other(tuned: str) -> None:
    task = classifying([language(), language("characters", "backward")], encoder_training=tuned)
    loss = task.loss(task.collate([task.encode(example) for example in examples()]))
    loss.total.backward()
    assert task.reader.encoders is not None
    reached = [p.grad is not None and bool(p.grad.any()) for p in task.reader.encoders.parameters()]
    assert all(reached) if tuned == "tuned" else not any(reached)
    assert not any("softmax" in name for name, _ in task.named_parameters())
    groups = task.layer_groups()
    assert len(groups) == (4 if tuned == "tuned" else 1)  # its own, two layers, the tables
    assert sum(p.numel() for group in groups for p in group) == sum(
        p.numel() for p in task.parameters() if p.requires_grad
    )


@pytest.mark.parametrize("options", [{}, {"layers": 1, "word_size": 5, "hidden_size": 4}, {"pooling": "last"}])
def test_batch_mates_change_nothing(options: dict[str, Any]) -> None:
    task = classifying([language("characters", "backward"), language("bpe")], **options).eval()
    together = task.predict(TEXTS)
    for text, found in zip(TEXTS, together, strict=True):
        (alone,) = task.predict([text])
        assert alone.probabilities == pytest.approx(found.probabilities, abs=1e-5)


def test_the_last_state_is_that_of_the_end_and_backwards_that_of_the_beginning() -> None:
    task = classifying([language("blanks", "backward"), language("blanks")], pooling="last").eval()
    assert task.reader.ahead == 6
    batch = task.collate([task.encode(examples()[2])])
    x = task.reader(batch).data
    (pooled,) = task.poolings[0](task.reader(batch))
    assert torch.equal(pooled, torch.cat([x[-1, :6], x[0, 6:]]))


@pytest.mark.parametrize("kind", ["characters", "bpe"])
@pytest.mark.parametrize("rule", ["2-mers", "3-mers", "6-mers", "placed", "placed-2-mers", "blanks", "characters"])
def test_however_a_task_cuts_sequences_it_reads_a_language_model_below(rule: str, kind: str) -> None:
    given = [LabelledText(text=text, label=label) for text, label in (("GATTACA", "1"), ("CATTAG GA", "2"))]
    torch.manual_seed(3)
    lines = [Passage(text=example.text) for example in given * 4]
    models = [
        language_model.LanguageModel.prepare(lines, tokens=kind, direction=d, hidden_size=5, word_size=4, pieces=12)
        for d in ("forward", "backward")
    ]
    for task in (classifier.Classifier, regressor.Regressor):
        made = task.prepare(given, encoder=models, tokens=rule)
        for one in given:
            tokens, contexts = tokenise(one.text, rule), made.encode(one).contexts
            wanted = [model.encode(one.text, tokens, rule).places for model in made.reader.encoders.models]
            assert [found.places.tolist() for found in contexts] == [places.tolist() for places in wanted]
        made.loss(made.collate([made.encode(one) for one in given])).total.backward()
        assert all(p.grad is not None and bool(p.grad.any()) for p in made.parameters())


def test_a_tagger_reads_them_beside_its_words() -> None:
    given = [TaggedTokens(tokens=("Go", "and", "see", "it"), tags=("V", "C", "V", "P"))] * 6
    torch.manual_seed(1)
    task = tagger.Tagger.prepare(given, encoder=[language("characters")], hidden_size=6, word_size=5, **STILL)
    assert task.options["encoder_training"] == "frozen"
    assert task.options["layers"] == 2
    for _ in fit(task, given, given, settings=Settings(epochs=30, batch_rows=1, learning_rate=2e-2)):
        pass
    (found,) = task.predict(given[:1])
    assert found.tags == given[0].tags


def test_without_an_encoder_there_must_be_words_and_layers() -> None:
    for options in ({"layers": 0}, {"word_size": 0}):
        with pytest.raises(BadOption, match="layers and word_size must be 1 or more where there is no encoder"):
            classifier.Classifier.prepare(examples(), **options)


# ------------------------------------------------------------------ learning, layer by layer


def test_layers_begin_to_learn_one_after_the_other_from_the_top() -> None:
    task = classifying([language()])
    before = {name: p.detach().clone() for name, p in task.named_parameters()}
    moved: list[tuple[float, set[str]]] = []
    settings = Settings(epochs=40, batch_rows=1, unfreeze=0.5, averaging="none", checks=1)
    for event in fit(task, examples(), examples(), settings=settings):
        if isinstance(event, Step):
            changed = {name for name, p in task.named_parameters() if not torch.equal(p, before[name])}
            moved.append((event.progress, changed))

    def since(part: str) -> float:
        return next(progress for progress, names in moved if any(part in name for name in names))

    assert since("output") == pytest.approx(1 / 120)
    order = [since(part) for part in ("stack.layers.1", "stack.layers.0", "embedding")]
    assert order == pytest.approx([0.125 + 1 / 120, 0.25 + 1 / 120, 0.375 + 1 / 120], abs=1e-6)
    assert all(p.requires_grad for p in task.parameters())


def test_a_layer_s_rate_is_that_of_the_one_above_times_its_decay() -> None:
    """Plain descent by one step: each parameter moves by its own rate times its gradient."""
    task = classifying([language()])
    start = {name: p.detach().clone() for name, p in task.named_parameters()}
    task.train()
    loss = task.loss(task.collate([task.encode(example) for example in examples()]))
    gradients = torch.autograd.grad(loss.total / loss.count, list(task.parameters()))
    named = dict(zip(start, gradients, strict=True))
    plain: dict[str, Any] = {"optimizer": "sgd", "schedule": "constant", "clip_norm": 0.0, "warmup": 0.0}
    settings = Settings(**plain, weight_decay=0, learning_rate=0.5, layer_decay=0.1, unfreeze=0, epochs=1, checks=1)
    for _ in fit(task, examples(), examples(), settings=settings):
        pass
    rates = {"output": 0.5, "stack.layers.1": 0.05, "stack.layers.0": 0.005, "embedding": 0.0005}
    for part, rate in rates.items():
        (name, *_) = [n for n in start if part in n and n.endswith(("weight", "weight_ih"))]
        moved = task.get_parameter(name).detach() - start[name]
        torch.testing.assert_close(moved, -rate * named[name], rtol=1e-3, atol=1e-7)


def test_a_run_that_was_stopped_while_layers_thaw_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    settings = Settings(epochs=6, batch_rows=1, unfreeze=0.9, checkpoint_seconds=0)
    whole = classifying([language()])
    for _ in fit(whole, examples(), examples(), settings=settings):
        pass
    for stop in (3, 7, 14):
        folder = tmp_path / str(stop)
        steps = 0
        for event in fit(classifying([language()]), examples(), examples(), settings=settings, checkpoints=folder):
            steps += isinstance(event, Step)
            if steps == stop and isinstance(event, Saved):
                break
        again = classifying([language()])
        for _ in fit(again, examples(), examples(), settings=settings, checkpoints=folder, resumed=True):
            pass
        assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), again.parameters(), strict=True))


# ------------------------------------------------------------------ folders


@pytest.fixture
def folders(tmp_path: Path) -> list[str]:
    lines = [Passage(text=text) for text in TEXTS * 4]
    for direction in ("forward", "backward"):
        model = LanguageModel(tokens="characters", direction=direction, hidden_size=7, word_size=6)
        model.fit(lines, lines, epochs=1, batch_rows=2).save_pretrained(tmp_path / direction)
    return [str(tmp_path / "forward"), str(tmp_path / "backward")]


def test_a_folder_holds_all_of_it_and_the_language_models_are_no_longer_needed(
    folders: list[str], tmp_path: Path
) -> None:
    data = tmp_path / "data.tsv"
    data.write_text("text\tlabel\n" + "".join(f"{e.text} {k}\t{e.label}\n" for k in range(10) for e in examples()))
    recipe = build("classifier", data, {"encoder": ",".join(folders), "epochs": "1"}, output=tmp_path / "model")
    *_, finished = api.train(recipe)
    before = finished.model.predict(TEXTS)  # type: ignore[union-attr]
    for folder in folders:
        shutil.rmtree(folder)
    again = Classifier.from_pretrained(tmp_path / "model")
    assert again.predict(TEXTS) == before
    assert bundle.read_config(tmp_path / "model")["format"] == 2
    (tmp_path / "data2.tsv").write_text(data.read_text())
    assert all(verdict.holds is not False for verdict in api.check(again, tmp_path / "data2.tsv", 8))


def test_in_python_folders_are_named_as_well(folders: list[str]) -> None:
    given = [TaggedTokens(tokens=("Go", "and"), tags=("V", "C"))] * 4
    model = Tagger(encoder=folders, hidden_size=4).fit(given, given, epochs=1)
    assert isinstance(model.task, tagger.Tagger)
    assert isinstance(model.task.reader, Reader)
    assert [o["direction"] for o in model.task.options["encoders"]] == ["forward", "backward"]


def test_what_is_no_language_model_is_refused(folders: list[str], tmp_path: Path) -> None:
    Classifier(hidden_size=4, word_size=4).fit(examples() * 2, epochs=1).save_pretrained(tmp_path / "other")
    with pytest.raises(BadOption, match="an encoder must be a language_model, not a classifier"):
        Classifier(encoder=[str(tmp_path / "other")]).fit(examples() * 2, epochs=1)
    with pytest.raises(BadModel, match="there is no folder"):
        Classifier(encoder=[str(tmp_path / "nothing")]).fit(examples() * 2, epochs=1)


RATES = {"type_dropout": 0.1, "embedding_dropout": 0.4, "dropout": 0.6, "weight_drop": 0.2}


@pytest.mark.parametrize("scale", [0.25, 0.0])
def test_the_rates_of_an_encoder_s_dropout_are_scaled_where_it_learns_on(scale: float) -> None:
    reader = classifying([language(**RATES)], encoder_rates=scale).reader.encoders.models[0].reader  # type: ignore
    found = (reader.types.p, reader.vectors.p, reader.stack.between.p, reader.stack.layers[0].cell.p)
    assert found == pytest.approx((0.1 * scale, 0.4 * scale, 0.6 * scale, 0.2 * scale))
    with pytest.raises(BadOption, match="encoder_rates must be in"):
        classifying([language()], encoder_rates=-1.0)


def test_a_frozen_encoder_drops_nothing_in_training() -> None:
    task = classifying([language(**RATES)], encoder_training="frozen").train()
    batch = task.collate([task.encode(example) for example in examples()])
    assert task.reader.encoders is not None
    (a,), (b,) = task.reader.encoders(batch.contexts), task.reader.encoders(batch.contexts)
    assert torch.equal(a, b)
    assert not isinstance(task.reader.words, nn.Module)
