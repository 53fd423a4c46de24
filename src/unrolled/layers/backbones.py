"""Networks of torchvision's and timm's that look at pictures, under their own names: `torchvision:resnet18`, `timm:…`.

They are made here without weights, and nothing is fetched. Their weights are those of a file in the form of
safetensors, as timm's come, or a model folder's. Their norms keep the statistics that they came with, as in an
evaluation, so that batch mates change nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from unrolled.errors import BadOption, MissingExtra, UnknownName

LIBRARIES = ("torchvision", "timm")
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's red, green and blue, by which such networks want their pictures scaled."""


class Backbone(nn.Module):
    """One of them, up to its grid of features.

    Args:
        name: the library's, a colon, and the network's own.

    Raises `MissingExtra` where the library is not installed, `UnknownName` for a library or a network that is none,
    `BadOption` for one that gives no grid.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, name: str) -> None:
        super().__init__()
        library, _, network = name.partition(":")
        if library not in LIBRARIES or not network:
            known = ("convolutional", *(f"{one}:NAME" for one in LIBRARIES))
            raise UnknownName("encoder of pictures", name, known)
        self.network = _torchvision(network) if library == "torchvision" else _timm(network)
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1))
        self.register_buffer("deviation", torch.tensor(DEVIATION).view(3, 1, 1))
        self.train()

    def train(self, mode: bool = True) -> Backbone:
        """The norms stay as in evaluation."""
        super().train(mode)
        self.network.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        """x: (batch, 3, height, width), from 0 to 1 -> (batch, features, rows, columns)."""
        found: Tensor = self.network((x - self.mean) / self.deviation)
        return found

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of the places of such a picture."""
        return self._shape(height, width)[1:]

    def features(self, height: int, width: int) -> int:
        """Of a place."""
        return self._shape(height, width)[0]

    @torch.no_grad()
    def _shape(self, height: int, width: int) -> tuple[int, int, int]:
        found = self(torch.zeros(1, 3, height, width))
        if found.ndim != 4:
            raise BadOption(f"such an encoder gives no grid of features, but {tuple(found.shape[1:])} a picture")
        return int(found.shape[1]), int(found.shape[2]), int(found.shape[3])

    def load(self, path: str | Path) -> None:
        """Take over the weights of a file in the form of safetensors; those of its classes are left out.

        Raises `BadOption` where it cannot be read, or is of another network.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            given = load_file(path)
        except (OSError, SafetensorError) as error:
            raise BadOption(f"encoder_weights: {path} cannot be read as safetensors: {error}") from None
        wanted = self.network.state_dict()
        lacking = [name for name, value in wanted.items() if name not in given or given[name].shape != value.shape]
        if lacking:
            raise BadOption(f"encoder_weights: {path} is of another network: it has no {lacking[0]!r} that fits")
        self.network.load_state_dict({name: given[name] for name in wanted})


class _Named(nn.Module):
    """A library's network under its own names, of which a part is run."""

    def __init__(self, network: nn.Module, run: str) -> None:
        super().__init__()
        for name, part in network.named_children():
            self.add_module(name, part)
        self.run = run

    def forward(self, x: Tensor) -> Tensor:
        if self.run == "features":
            found: Tensor = self.get_submodule("features")(x)
            return found
        for part in self.children():
            x = part(x)
        return x


def _torchvision(name: str) -> nn.Module:
    try:
        from torchvision import models
    except ImportError:
        raise MissingExtra("torchvision", extra=None, need=f"the encoder torchvision:{name}") from None
    known = models.list_models(module=models)
    if name not in known:
        raise UnknownName("network of torchvision", name, known)
    return _without_head(models.get_model(name, weights=None), name)


def _without_head(network: Any, name: str) -> nn.Module:
    """What comes before the pooling and the classes."""
    children = dict(network.named_children())
    if "features" in children:
        kept, run = ["features"], "features"
    elif "avgpool" in children:
        kept, run = list(children)[: list(children).index("avgpool")], "in turn"
    else:
        raise BadOption(f"torchvision:{name} has no part that gives a grid of features; timm:… may have it")
    for child in children:
        if child not in kept:
            delattr(network, child)
    return _Named(network, run)


def _timm(name: str) -> nn.Module:
    try:
        import timm
    except ImportError:
        raise MissingExtra("timm", extra=None, need=f"the encoder timm:{name}") from None
    known = timm.list_models()
    if name not in known:
        raise UnknownName("network of timm", name, known)
    # Without classes and pooling it gives its last grid.
    made: nn.Module = timm.create_model(name, pretrained=False, num_classes=0, global_pool="")
    return made
