"""A word's vector from its spelling, against a slow twin that looks at one word at a time."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unrolled.errors import BadOption
from unrolled.layers.characters import CharacterCNN, CharacterLSTM

WORDS = st.lists(st.lists(st.integers(0, 8), min_size=1, max_size=9), min_size=1, max_size=6)


def joined(words):
    return torch.tensor([c for word in words for c in word]), torch.tensor([len(word) for word in words])


def slow_lstm(module, word):
    vectors = module.characters.weight[torch.tensor(word)]
    _, (ahead, _) = module.ahead(vectors)
    _, (back, _) = module.back(vectors.flip(0))
    return torch.cat([ahead[0], back[0]])


def slow_cnn(module, word):
    vectors = module.characters.weight[torch.tensor(word)]
    found = []
    for window in module.windows:
        width = window.kernel_size[0]
        padded = torch.nn.functional.pad(vectors.t(), ((width - 1) // 2, width // 2))
        found.append(window(padded[None])[0].tanh().amax(1))
    return torch.cat(found)


def made(kind):
    torch.manual_seed(3)
    if kind is CharacterLSTM:
        return CharacterLSTM(9, 4, 3).double(), slow_lstm
    return CharacterCNN(9, 4, 3, widths=(1, 2, 3, 6)).double(), slow_cnn


@pytest.mark.parametrize("kind", [CharacterLSTM, CharacterCNN])
@settings(max_examples=40, deadline=None)
@given(words=WORDS)
def test_a_words_vector_is_that_of_the_word_alone(kind, words):
    module, slow = made(kind)
    found = module(*joined(words))
    assert found.shape == (len(words), module.output_size)
    torch.testing.assert_close(found, torch.stack([slow(module, word) for word in words]))


@pytest.mark.parametrize("kind", [CharacterLSTM, CharacterCNN])
def test_many_words_of_all_lengths_are_found_again(kind):
    """So many that they are read in several groups."""
    module, slow = made(kind)
    lengths = torch.randint(1, 30, (300,)).tolist()
    words = [torch.randint(9, (n,)).tolist() for n in lengths]
    torch.testing.assert_close(module(*joined(words)), torch.stack([slow(module, word) for word in words]))


@pytest.mark.parametrize("kind", [CharacterLSTM, CharacterCNN])
def test_gradients_are_those_of_the_slow_twin(kind):
    module, slow = made(kind)
    words = [[1, 2, 3, 4, 5], [3], [0, 8], [2, 2, 2]]
    weight = torch.randn(len(words), module.output_size, dtype=torch.double)
    gradients = []
    for found in (module(*joined(words)), torch.stack([slow(module, word) for word in words])):
        module.zero_grad()
        (found * weight).sum().backward()
        gradients.append({name: p.grad.clone() for name, p in module.named_parameters()})
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name])


@pytest.mark.parametrize("kind", [CharacterLSTM, CharacterCNN])
def test_every_parameter_is_learnt(kind):
    module, _ = made(kind)
    module(*joined([[1, 2, 3], [0]])).sum().backward()
    assert all(p.grad is not None and (p.grad != 0).any() for p in module.parameters())


@pytest.mark.parametrize("kind", [CharacterLSTM, CharacterCNN])
def test_words_without_characters_and_wrong_lengths_are_refused(kind):
    module, _ = made(kind)
    ids = torch.tensor([1, 2])
    with pytest.raises(ValueError, match="a word needs at least one character, and a batch at least one word"):
        module(ids, torch.tensor([2, 0]))
    with pytest.raises(ValueError, match="a word needs at least one character, and a batch at least one word"):
        module(ids[:0], torch.tensor([], dtype=torch.long))
    with pytest.raises(ValueError, match="the words' lengths add up to 3, there are 2 characters"):
        module(ids, torch.tensor([2, 1]))


@pytest.mark.parametrize("kind", [CharacterLSTM, CharacterCNN])
@pytest.mark.parametrize("wrong", [-1, 9])
def test_ids_that_do_not_exist_are_refused(kind, wrong):
    module, _ = made(kind)
    with pytest.raises(IndexError, match=r"must be from 0 to 8|out of range"):
        module(torch.tensor([1, wrong]), torch.tensor([2]))


@pytest.mark.parametrize("widths", [(), (3, 0)])
def test_widths_below_1_are_refused(widths):
    with pytest.raises(BadOption, match="a character convolution needs widths of 1 or more, not "):
        CharacterCNN(5, widths=widths)
