"""Text drawn from a language model: distributed as each sampler is defined, the same again from the same seed."""

from __future__ import annotations

import math
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch

from unrolled.data.examples import Passage
from unrolled.decoding.sampling import Uniforms
from unrolled.errors import BadOption
from unrolled.tasks._generating import LINE_END, Sampling, elements
from unrolled.tasks.language_model import LanguageModel

DRAWS = 4000


@pytest.fixture(scope="module")
def model() -> LanguageModel:
    """A few elements, whose probabilities are far from equal."""
    torch.manual_seed(3)
    lines = [Passage(text="a b c d e f g h")] * 2
    task = LanguageModel.prepare(lines, hidden_size=8, word_size=8, layers=1)
    with torch.no_grad():
        for parameter in task.parameters():
            parameter.mul_(3.0)
    return task.eval()


def said(model: LanguageModel, prompt: str, seed: int = 1, sample: int = 0, how: Sampling | None = None) -> str:
    return "".join(model.generate(prompt, seed=seed, sample=sample, how=how or Sampling()))


def distribution(model: LanguageModel, prompt: list[str]) -> np.ndarray:
    """The model's own, by steps, the unknown element left out."""
    logits, state = model.network.step(torch.tensor([model.line_end]), model.network.initial_state(1))
    for token in prompt:
        logits, state = model.network.step(torch.tensor([model.elements.index(token)]), state)
    values: np.ndarray = logits[0].detach().double().numpy().copy()
    values[0] = -np.inf
    return values


def normalised(logits: np.ndarray) -> np.ndarray:
    p = np.exp(logits - logits.max())
    found: np.ndarray = p / p.sum()
    return found


def kept(p: np.ndarray, order: np.ndarray, mass: float) -> np.ndarray:
    """The first in an order whose probabilities reach a mass."""
    found, total = np.zeros_like(p), 0.0
    for place in order:
        found[place] = p[place]
        total += p[place]
        if total >= mass:
            break
    return found / found.sum()


def expected(logits: np.ndarray, how: dict[str, Any], had: list[int]) -> np.ndarray:
    """By each sampler's definition, written anew."""
    logits = logits.copy()
    if "repetition_penalty" in how:
        for place in set(had):
            logits[place] = (
                logits[place] / how["repetition_penalty"]
                if logits[place] > 0
                else logits[place] * how["repetition_penalty"]
            )
    p = normalised(logits / how.get("temperature", 1.0))
    if "top_k" in how:
        least = np.sort(p)[-how["top_k"]]
        p = np.where(p >= least, p, 0.0)
        p = p / p.sum()
    if "top_p" in how:
        p = kept(p, np.argsort(-p, kind="stable"), how["top_p"])
    if "min_p" in how:
        p = np.where(p >= how["min_p"] * p.max(), p, 0.0)
    if "typical" in how:
        inside = p > 0
        surprise = np.full_like(p, np.inf)
        surprise[inside] = np.abs(-np.log(p[inside]) + (p[inside] * np.log(p[inside])).sum())
        p = kept(p, np.argsort(surprise, kind="stable"), how["typical"])
    found: np.ndarray = p / p.sum()
    return found


def is_likely(counts: np.ndarray, p: np.ndarray) -> bool:
    """Pearson's chi-squared test at one in ten thousand (its quantile by Wilson and Hilferty's approximation)."""
    inside = p > 0
    if counts[~inside].sum():
        return False
    due = p[inside] * counts.sum()
    statistic = float(((counts[inside] - due) ** 2 / due).sum())
    freedom = int(inside.sum()) - 1
    if freedom == 0:
        return statistic == 0
    return statistic < freedom * (1 - 2 / (9 * freedom) + 3.719 * math.sqrt(2 / (9 * freedom))) ** 3


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"temperature": 0.6},
        {"temperature": 1.7},
        {"top_k": 3},
        {"top_p": 0.7},
        {"min_p": 0.3},
        {"typical": 0.6},
        {"repetition_penalty": 1.8},
        {"temperature": 1.3, "top_k": 6, "top_p": 0.9},
    ],
    ids=str,
)
def test_elements_are_distributed_as_the_sampler_is_defined(model: LanguageModel, how: dict[str, Any]) -> None:
    prompt = ["a", "b"]
    had = [model.elements.index(token) for token in prompt]
    logits = distribution(model, prompt)
    state = model.network.initial_state(1)
    with torch.no_grad():
        for this in (model.line_end, *had):
            first, state = model.network.step(torch.tensor([this]), state)
        drawn = [next(elements(model.network, state, first, had, Sampling(**how), seed, 0)) for seed in range(DRAWS)]
    counts = np.bincount(drawn, minlength=len(logits)).astype(float)
    p = expected(logits, how, had)
    assert is_likely(counts, p)
    assert not is_likely(counts, np.roll(p, 1))  # the test can fail


def test_later_elements_follow_from_those_before_them(model: LanguageModel) -> None:
    """The second of two, where the first was `c`, has the distribution behind `a c`."""
    seconds = []
    with torch.no_grad():
        state = model.network.initial_state(1)
        for this in (model.line_end, model.elements.index("a")):
            first, state = model.network.step(torch.tensor([this]), state)
        for seed in range(DRAWS):
            one, two = islice(elements(model.network, state, first, [], Sampling(), seed, 0), 2)
            if one == model.elements.index("c"):
                seconds.append(two)
    p = normalised(distribution(model, ["a", "c"]))
    assert len(seconds) > 100
    assert is_likely(np.bincount(seconds, minlength=len(p)).astype(float), p)


def test_the_same_seed_gives_the_same_text_whatever_else_is_drawn(model: LanguageModel) -> None:
    texts = [said(model, "a b", seed=5, sample=sample) for sample in range(3)]
    assert texts == [said(model, "a b", seed=5, sample=sample) for sample in range(3)]
    assert len(set(texts)) == 3
    assert said(model, "a b", seed=6) != texts[0]


def test_what_is_said_behind_a_prompt_is_what_was_drawn(model: LanguageModel) -> None:
    how = Sampling(length=40)
    prompt = "a b\nc"
    ids = [model.line_end, *(model.elements.index(t) for t in ("a", "b", LINE_END, "c"))]
    state = model.network.initial_state(1)
    with torch.no_grad():
        for this in ids:
            first, state = model.network.step(torch.tensor([this]), state)
        drawn = list(islice(elements(model.network, state, first, ids[1:], how, 7, 0), 40))
    tokens = ["c", *model.elements.decode(drawn)]
    lines: list[list[str]] = [[]]
    for token in tokens:
        if token == LINE_END:
            lines.append([])
        else:
            lines[-1].append(token)
    assert "c" + said(model, prompt, seed=7, how=how) == "\n".join(" ".join(line) for line in lines)


def by_hand(model: LanguageModel, begun: list[str], prompt: list[str], how: Sampling, seed: int) -> list[str]:
    """Elements of lines that stand apart: each begins from nothing, with the ends of the empty lines above it.

    begun: what the last line of the prompt has; prompt: all that it has.
    """
    uniforms, had, line, drawn = Uniforms([seed]), [model.elements.index(t) for t in prompt], list(begun), []
    for place in range(how.length):
        logits, state = model.network.step(torch.tensor([model.line_end]), model.network.initial_state(1))
        for token in line:
            logits, state = model.network.step(torch.tensor([model.elements.index(token)]), state)
        one = how.draw(logits, torch.tensor([had]), torch.from_numpy(uniforms.at(np.array([0]), place)))
        had.append(int(one))
        drawn += model.elements.decode([int(one)])
        ended = drawn[-1] == LINE_END and any(token != LINE_END for token in line)
        line = [] if ended else [*line, drawn[-1]]
    return drawn


@pytest.mark.parametrize("penalty", [1.0, 1.5])
def test_lines_that_stand_apart_are_drawn_each_from_nothing(model: LanguageModel, penalty: float) -> None:
    apart = LanguageModel(model.vocabularies, model.tokenisers, **{**model.options, "lines": "apart"}).eval()
    apart.load_state_dict(model.state_dict())
    with torch.no_grad():
        apart.network.softmax.bias[model.line_end] += 4.0  # so that there are many lines, and empty ones
        how = Sampling(length=60, temperature=2.0, repetition_penalty=penalty)
        for prompt, begun in (
            ("", []),
            ("a b\nc", ["c"]),
            ("a b\n", []),
            ("a\n\n\nb", [LINE_END, LINE_END, "b"]),
            ("\n\nb", [LINE_END, LINE_END, "b"]),
            ("a\n\n", [LINE_END]),
        ):
            every = prompt.replace(LINE_END, f" {LINE_END} ").split(" ")
            drawn = by_hand(apart, begun, [token for token in every if token], how, seed=4)
            assert drawn.count(LINE_END) > 5
            lines = [" ".join(line.split()) for line in " ".join(["|", *drawn]).split(LINE_END)]
            text = LINE_END.join(lines)[1:]
            assert said(apart, prompt, seed=4, how=how).strip(" ") == text.strip(" ")


def test_a_text_ends_before_a_word_at_which_it_is_to_stop(model: LanguageModel) -> None:
    whole = said(model, "a", seed=2, how=Sampling(length=200))
    stop = next(word for word in "hgfedcb" if word in whole)
    cut = said(model, "a", seed=2, how=Sampling(length=200, stop=(stop,)))
    assert stop not in cut
    assert whole.startswith(cut)
    assert whole[len(cut) :].lstrip(" ").startswith(stop)
    ended = said(model, "a", seed=2, how=Sampling(length=200, stop=(LINE_END,)))
    assert LINE_END not in ended


def test_the_unknown_element_is_drawn_where_it_is_asked_for(model: LanguageModel) -> None:
    some = [said(model, "", seed=seed, how=Sampling(length=60, unknown=True)) for seed in range(20)]
    none = [said(model, "", seed=seed, how=Sampling(length=60)) for seed in range(20)]
    assert any("<unk>" in text for text in some)
    assert not any("<unk>" in text for text in none)


def test_generating_leaves_mode_and_gradients_alone(model: LanguageModel) -> None:
    model.train()
    pieces = model.generate("a", seed=1, sample=0, how=Sampling(length=3))
    next(pieces)
    assert torch.is_grad_enabled()
    list(pieces)
    assert model.training
    model.eval()


def test_what_it_refuses(model: LanguageModel) -> None:
    with pytest.raises(BadOption, match="length must be 1 or more"):
        Sampling(length=0)
    with pytest.raises(BadOption, match="the temperature must be above 0"):
        said(model, "a", how=Sampling(temperature=0.0))
    with pytest.raises(BadOption, match="top_p must be above 0"):
        said(model, "a", how=Sampling(top_p=0.0))
