"""The networks: a manifest's architecture and parameters rebuild one."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from processor.errors import BadModel


class ConvBlock(nn.Module):
    """A convolution without bias and its batch norm; `fold` merges the two for inference."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        self.norm: nn.Module = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:  # (N, inputs, H, W) -> (N, outputs, H / stride, W / stride)
        return self.norm(self.conv(x))  # type: ignore[no-any-return]

    def fold(self) -> None:
        if isinstance(self.norm, nn.BatchNorm2d):
            self.conv = fuse_conv_bn_eval(self.conv, self.norm)
            self.norm = nn.Identity()


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions around which the input is carried.

    Source: K. He et al., "Deep residual learning for image recognition" (2016).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = ConvBlock(channels, channels, 3)
        self.second = ConvBlock(channels, channels, 3)

    def forward(self, x: Tensor) -> Tensor:  # (N, channels, H, W) -> the same
        return torch.relu(x + self.second(torch.relu(self.first(x))))


class StridedResidualNetwork(nn.Module):
    """Digit glyphs (N, 2, 28, 28) in [0, 1] to class logits (N, classes).

    With one of the two `planes` it looks at a mark's own ink only, with both at what stands about it, too.

    The stem halves the size at once: at 28×28 the same blocks take seven times as long on a CPU. The head
    keeps the places of the features (a 4×4 grid instead of one mean): a 6 and a 9 hold the same parts.
    """

    def __init__(
        self,
        *,
        classes: int = 11,
        planes: int = 1,
        widths: tuple[int, int] = (24, 64),
        hidden: int = 64,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        narrow, wide = widths
        self.planes = planes
        self.stem = ConvBlock(planes, narrow, 5, stride=2)
        self.fine = ResidualBlock(narrow)
        self.down = ConvBlock(narrow, wide, 3, stride=2)
        self.coarse = ResidualBlock(wide)
        self.last = ConvBlock(wide, hidden, 3, stride=2)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden * 16, classes)

    def forward(self, glyphs: Tensor) -> Tensor:
        x = torch.relu(self.stem(glyphs[:, : self.planes]))  # (N, narrow, 14, 14)
        x = self.fine(x)
        x = torch.relu(self.down(x))  # (N, wide, 7, 7)
        x = self.coarse(x)
        x = torch.relu(self.last(x))  # (N, hidden, 4, 4)
        return self.head(self.dropout(x.flatten(1)))  # type: ignore[no-any-return]


ARCHITECTURES: dict[str, Callable[..., nn.Module]] = {"strided-residual": StridedResidualNetwork}


def build(architecture: str, parameters: Mapping[str, Any]) -> nn.Module:
    """An untrained network in training mode.

    Raises BadModel where the architecture is unknown or does not take these parameters.
    """
    if architecture not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise BadModel(
            f"The architecture {architecture!r} is unknown.",
            f"This program knows {known}; update the program.",
        )
    try:
        return ARCHITECTURES[architecture](**parameters)
    except (TypeError, ValueError, RuntimeError) as error:
        raise BadModel(
            f"The architecture {architecture} refuses the parameters {dict(parameters)}: {error}.",
            "The manifest is damaged, or was written by another version: publish the model again.",
        ) from None


def fold(network: nn.Module) -> nn.Module:
    """Merges every batch norm into its convolution, in place; only for a network in evaluation mode."""
    for module in network.modules():
        if isinstance(module, ConvBlock):
            module.fold()
    return network
