"""Second readers made for tests: small true networks that read the same number on every strip."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from processor.prediction.strip_networks import StripNetwork
from processor.prediction.strip_reader import to_bytes
from processor.prediction.strips import HEIGHT, PLANES, Strip
from training.publish import find_run
from training.strip_run import put
from training.strip_sets import StripSet

WIDTHS = (8, 8, 8, 8)


def saying(digit: int | None, temperature: float = 1.0) -> bytes:
    """The file of a network that reads `digit`, or nothing, on whatever strip."""
    network = StripNetwork(widths=WIDTHS)
    with torch.no_grad():
        for tensor in network.state_dict().values():
            tensor.zero_()
        character = 0 if digit is None else digit + 1
        network.head.bias.view(-1, network.characters)[:, character] = 9.0  # type: ignore[union-attr]
    return to_bytes(network, temperature)


def with_reader(run: Path, content: bytes, **account: Any) -> Path:
    """Puts a second reader into a finished run."""
    return put(find_run(run), content, {}, account).path


def strips_of(*digits: str, name: str = "mine") -> StripSet:
    """Strips that all look the same, and are said to read as told."""
    strip = Strip(np.full((PLANES, HEIGHT, 24), 255, np.uint8), 0.0, 1.0)
    return StripSet(name, digits, digits, (strip,) * len(digits))
