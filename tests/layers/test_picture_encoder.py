"""Pictures, or features of them, as a decoder reads them."""

from __future__ import annotations

import torch
from torch.nn.utils.rnn import pack_sequence

from unrolled.layers.convolutions import Convolutions
from unrolled.layers.encoder import padded
from unrolled.layers.encoder_decoder import EncoderDecoder
from unrolled.layers.encoder_decoder_options import EncoderDecoderOptions
from unrolled.layers.picture_encoder import PictureEncoder


def test_places_go_row_by_row_and_their_mean_is_the_state() -> None:
    torch.manual_seed(0)
    encoder = PictureEncoder(Convolutions([4, 5]), 5)
    pictures = torch.randint(0, 256, (2, 4, 6, 3), dtype=torch.uint8)
    outputs, ((mean,),) = encoder(pictures)
    annotations, mask, lengths = padded(outputs)
    grid = encoder.looks(pictures.permute(0, 3, 1, 2) / 255)  # type: ignore[misc]
    torch.testing.assert_close(annotations, grid.flatten(2).transpose(1, 2))
    torch.testing.assert_close(mean, grid.mean((2, 3)))
    assert mask.all()
    assert lengths.tolist() == [6, 6]
    assert encoder.state_sizes() == [[[5]]]


def test_features_are_read_as_they_are_whatever_their_number() -> None:
    rows = [torch.rand(n, 3) for n in (1, 4, 2)]
    outputs, ((mean,),) = PictureEncoder(None, 3)(pack_sequence(rows, enforce_sorted=False))
    annotations, _, lengths = padded(outputs)
    assert lengths.tolist() == [1, 4, 2]
    for k, row in enumerate(rows):
        assert torch.equal(annotations[k, : len(row)], row)
        torch.testing.assert_close(mean[k], row.mean(0))


def test_what_is_not_to_learn_has_no_gradient() -> None:
    frozen = PictureEncoder(Convolutions([4]), 4, learns=False)
    assert not any(p.requires_grad for p in frozen.parameters())


def test_a_decoder_begins_with_the_mean_and_looks_at_places() -> None:
    torch.manual_seed(0)
    options = EncoderDecoderOptions(source_words=0, target_words=9, hidden_size=4, bridge="mean", vector="every")
    network = EncoderDecoder(options, PictureEncoder(Convolutions([4, 5]), 5))
    pictures = torch.randint(0, 256, (2, 4, 6, 3), dtype=torch.uint8)
    memory = network.encode(pictures)
    _, ((mean,),) = network.encoder(pictures)
    torch.testing.assert_close(memory.state.layers[0], torch.tanh(network.bridge.maps[0](mean)))
    torch.testing.assert_close(memory.vector, mean)
    before = pack_sequence([torch.tensor([1, 3]), torch.tensor([1])])
    weights = network.attend(memory, before)
    assert [tuple(w.shape) for w in weights] == [(2, 6), (1, 6)]
