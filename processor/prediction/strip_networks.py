"""The network of the second reader: a strip of any width to characters, column by column."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from processor.errors import BadModel
from processor.prediction.ctc import ALPHABET
from processor.prediction.networks import ConvBlock, ResidualBlock
from processor.prediction.strips import HEIGHT, PLANES

PITCH = 2
"""Pixels of the strip for each column of the result: three columns for the narrowest 1 beside another."""

_STRIDE = 4


class OblongBlock(ConvBlock):
    """A convolution whose kernel or stride differs between rows and columns, and its batch norm."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: tuple[int, int],
        *,
        stride: tuple[int, int] = (1, 1),
        padding: tuple[int, int] = (0, 0),
    ) -> None:
        super().__init__(inputs, outputs, 1)
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)


class StripNetwork(nn.Module):
    """Strips (N, 2, 32, W) in [0, 1] to logits (N, W / 2, 1 + characters), blank first; W is a multiple of 4.

    Fully convolutional, after B. Shi et al., "An end-to-end trainable neural network" (2017), without its
    recurrent part: digits do not depend on each other, and a context of three digits tells what is cut off.
    `built_from` are its parameters, as `build` takes them.
    """

    def __init__(
        self, *, widths: tuple[int, int, int, int] = (24, 64, 96, 128), dropout: float = 0.1
    ) -> None:
        super().__init__()
        fine, middle, coarse, flat = widths
        self.built_from: dict[str, Any] = {"widths": list(widths), "dropout": dropout}
        self.characters = 1 + len(ALPHABET)
        self.stem = ConvBlock(PLANES, fine, 5, stride=2)
        self.fine = ResidualBlock(fine)
        self.down = ConvBlock(fine, middle, 3, stride=2)
        self.middle = nn.Sequential(ResidualBlock(middle), ResidualBlock(middle))
        self.lower = OblongBlock(middle, coarse, (3, 3), stride=(2, 1), padding=(1, 1))
        self.coarse = ResidualBlock(coarse)
        self.flatten = OblongBlock(coarse, flat, (HEIGHT // 8, 1))
        self.first = OblongBlock(flat, flat, (1, 3), padding=(0, 1))
        self.second = OblongBlock(flat, flat, (1, 3), padding=(0, 1))
        self.dropout = nn.Dropout(dropout)
        # Two columns of the result from each of the features': digits that touch are closer than a stride.
        self.head = nn.Conv2d(flat, _STRIDE // PITCH * self.characters, 1)

    def forward(self, strips: Tensor) -> Tensor:
        x = torch.relu(self.stem(strips))  # (N, fine, 16, W / 2)
        x = self.fine(x)
        x = torch.relu(self.down(x))  # (N, middle, 8, W / 4)
        x = self.middle(x)
        x = torch.relu(self.lower(x))  # (N, coarse, 4, W / 4)
        x = self.coarse(x)
        x = torch.relu(self.flatten(x))  # (N, flat, 1, W / 4)
        x = torch.relu(x + self.second(torch.relu(self.first(x))))
        x = self.head(self.dropout(x)).squeeze(2)  # (N, 2 × characters, W / 4)
        count, _, columns = x.shape
        x = x.reshape(count, _STRIDE // PITCH, self.characters, columns).permute(0, 3, 1, 2)
        return x.reshape(count, -1, self.characters)  # type: ignore[no-any-return]


ARCHITECTURE = "strip-ctc"


def build(architecture: str, parameters: Mapping[str, Any]) -> StripNetwork:
    """An untrained network in training mode. Raises BadModel where it is unknown, or refuses `parameters`."""
    if architecture != ARCHITECTURE:
        raise BadModel(
            f"The architecture {architecture!r} of the strips' reader is unknown.",
            f"This program knows {ARCHITECTURE}; update the program.",
        )
    try:
        return StripNetwork(**parameters)
    except (TypeError, ValueError, RuntimeError) as error:
        raise BadModel(
            f"The architecture {architecture} refuses the parameters {dict(parameters)}: {error}.",
            "The model is damaged, or was written by another version: publish it again.",
        ) from None
