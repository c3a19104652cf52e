"""The one door to torchvision: its pure-Python parts, also where its compiled operators cannot be loaded.

A build of torchvision for CUDA beside a CPU build of torch cannot load its library of operators. It bears
that, but for two operators whose shapes it describes to torch without asking whether they are there:
`import torchvision` then stops with "operator torchvision::nms does not exist". Declaring the two, as the
missing library would have, lets the import pass. Nothing here ever calls an operator.
"""

import sys

import torch
from torch import Tensor

from training.recipe import Augment

_ASSUMED = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
"""The operators' declarations, from torchvision's `csrc/ops`."""

_DECLARED: list[torch.library.Library] = []
"""Declarations last only as long as their library object."""


def _declare_operators() -> None:
    """Declares the missing operators, and forgets the modules of the import that failed."""
    library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for operator in _ASSUMED:
        library.define(operator)  # type: ignore[no-untyped-call]
    _DECLARED.append(library)
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]


try:
    from torchvision.transforms import v2
except RuntimeError as error:
    if "torchvision::" not in str(error):
        raise
    _declare_operators()
    from torchvision.transforms import v2

GROUP = 8
"""Glyphs that share one draw. Each alone would take 12 ms a batch of 256 to erase, in eights 2 ms."""


class Spoiler:
    """What happens to glyphs after they were normalised: a patch without ink, and grain.

    Erasing: Z. Zhong et al., "Random erasing data augmentation" (2020). Both act on glyphs (B, 1, 28, 28) of
    [0, 1]; whatever bends or turns a digit belongs before the normaliser, which would undo a shift.
    """

    def __init__(self, augment: Augment) -> None:
        steps = []
        if augment.erased > 0:
            steps.append(v2.RandomErasing(p=augment.erased, scale=(0.02, 0.1), value=0.0))
        if augment.noise > 0:
            steps.append(v2.GaussianNoise(sigma=augment.noise))
        self._transform = v2.Compose(steps) if steps else None

    def __call__(self, glyphs: Tensor, seed: int) -> Tensor:
        """New glyphs of the same shape; the same seed spoils them the same way, in any process."""
        if self._transform is None:
            return glyphs
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return torch.cat([self._transform(group) for group in torch.split(glyphs, GROUP)])
