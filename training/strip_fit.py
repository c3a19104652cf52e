"""A step of training the second reader: numbers drawn on demand and real strips, scored column by column."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import Dataset

from processor.prediction import ctc
from processor.prediction.ctc import ALPHABET, DIGITS
from processor.prediction.strip_networks import PITCH, StripNetwork
from processor.prediction.strip_reader import StripReader, padded
from processor.prediction.strips import DIGIT
from processor.records import Gray
from training.learning import Learner
from training.strings import Hands, number, write
from training.strip_looks import Looks
from training.strip_sources import LARGE_MARGIN, LARGER, KnownStrip

GROUP = 3
"""So many batches are drawn at once and sorted by width: less is padded, less is computed for nothing."""

STEP = 16
"""Batches are padded to a multiple of so many columns."""

WIDEST = 288
"""Columns of the widest strip that is trained on; wider ones read as well, the network knows no ends."""

CLIPPED = 2.0
"""The norm of a step's gradient at most: the first steps of a CTC are steep."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StripPlan:
    """How long and how fast: `steps` batches of `batch` strips.

    Over the first share `guided` of the steps, the network is shown where the characters stand.
    """

    seed: int = 1
    steps: int = 9000
    batch: int = 64
    learning_rate: float = 5e-3
    weight_decay: float = 0.02
    averaging: float = 0.998
    guided: float = 0.15
    parameters: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class StripBatch:
    """Strips (N, 2, HEIGHT, W) float32, what each reads, and which of them are real, (N,) bool.

    Of real strips only the digits are known: their points and dashes are nobody's truth. `guides` (N, T)
    int64 tell what stands in some columns of drawn ones; `UNKNOWN` elsewhere.
    """

    strips: Tensor
    texts: tuple[str, ...]
    real: NDArray[np.bool_]
    guides: Tensor


UNKNOWN = -100


_Drawn = tuple[Gray, str, NDArray[np.float64] | None]
"""A strip, what it reads, and the columns of its characters' middles; None where it is a real one."""


class StripBatches(Dataset[list[StripBatch]]):
    """Group k of the training's batches, made on demand; the same k gives the same in any process."""

    def __init__(
        self,
        hands: Hands,
        known: Sequence[tuple[Sequence[KnownStrip], float]],
        plan: StripPlan,
    ) -> None:
        """`known` are real strips, each list with its share of a batch; what is left is drawn."""
        self._hands, self._plan = hands, plan
        self._looks = Looks()
        self._known = [strips for strips, _ in known]
        shares = [share for _, share in known]
        if min(shares, default=0) < 0 or sum(shares) > 1 or not all(self._known):
            raise ValueError(f"shares {shares} of real strips: each list has some, and together they are ≤ 1")
        self._shares = np.array([*shares, 1 - sum(shares)])

    def __len__(self) -> int:
        return -(-self._plan.steps // GROUP)

    def __getitem__(self, group: int) -> list[StripBatch]:
        if group >= len(self):
            raise IndexError(group)
        cv2.setNumThreads(1)
        rng = np.random.default_rng((self._plan.seed, group))
        drawn = [self._draw(rng) for _ in range(GROUP * self._plan.batch)]
        drawn.sort(key=lambda strip: strip[0].shape[2])
        batches = [drawn[i * self._plan.batch :][: self._plan.batch] for i in range(GROUP)]
        return [_collated(batches[i]) for i in rng.permutation(GROUP)]

    def _draw(self, rng: np.random.Generator) -> _Drawn:
        while True:
            source = int(rng.choice(len(self._shares), p=self._shares))
            if source < len(self._known):
                known = self._known[source][int(rng.integers(len(self._known[source])))]
                strip = self._looks.real(known.large, LARGER * DIGIT, LARGE_MARGIN, rng)
                text, middles = known.digits, None
            else:
                written = write(number(rng), self._hands.pick(rng), rng)
                strip, middles = self._looks.drawn(written, self._hands, rng)
                text = written.text
            if strip.shape[2] <= WIDEST:
                return strip, text, middles


def _collated(drawn: Sequence[_Drawn]) -> StripBatch:
    width = -(-max(strip.shape[2] for strip, _, _ in drawn) // STEP) * STEP
    guides = np.full((len(drawn), width // PITCH), UNKNOWN, np.int64)
    for row, (_, text, middles) in zip(guides, drawn, strict=True):
        if middles is not None:
            _guide(row, text, middles)
    return StripBatch(
        padded([strip for strip, _, _ in drawn], width),
        tuple(text for _, text, _ in drawn),
        np.array([middles is None for _, _, middles in drawn]),
        torch.from_numpy(guides),
    )


def _guide(row: NDArray[np.int64], text: str, middles: NDArray[np.float64]) -> None:
    """Writes into `row` (T,) the characters at their middles, and blanks half-way between them."""
    places = np.clip(middles / PITCH, 0, len(row) - 1).astype(int)
    for left, right in pairwise(places):
        if right - left > 1:
            row[(left + right) // 2] = ctc.BLANK
    row[[0, -1]] = ctc.BLANK
    row[places] = [ALPHABET.index(character) + 1 for character in text]


def strip_loss(logits: Tensor, texts: Sequence[str], real: NDArray[np.bool_]) -> Tensor:
    """The mean loss a character of logits (N, T, 1 + characters); for `real` strips, of their digits only.

    A. Graves et al. (2006). Where only digits are known, a point may be told or not: both are blank.
    """
    scores = logits.float().log_softmax(dim=2)
    losses = []
    for digits_only in (False, True):
        chosen = [i for i, is_real in enumerate(real) if is_real == digits_only]
        if not chosen:
            continue
        part = scores[chosen]
        if digits_only:
            blank = part[:, :, [ctc.BLANK, *range(DIGITS + 1, part.shape[2])]].logsumexp(dim=2, keepdim=True)
            part = torch.cat([blank, part[:, :, 1 : DIGITS + 1]], dim=2)
        labels = [[ALPHABET.index(c) + 1 for c in texts[i] if not digits_only or c.isdigit()] for i in chosen]
        lengths = torch.tensor([len(label) for label in labels])
        columns = torch.full((len(chosen),), part.shape[1])
        target = torch.tensor([c for label in labels for c in label], dtype=torch.long)
        loss = functional.ctc_loss(
            part.transpose(0, 1), target, columns, lengths, reduction="none", zero_infinity=True
        )
        losses.append((loss / lengths.clamp(min=1)).sum())
    return torch.stack(losses).sum() / len(texts)


def guidance(logits: Tensor, guides: Tensor) -> Tensor:
    """The mean cross entropy of logits (N, T, 1 + characters) in the columns of which `guides` (N, T) tell.

    From random weights, CTC finds nothing but blanks for a thousand steps; shown where the characters of
    drawn numbers stand, it needs fifty.
    """
    if bool((guides == UNKNOWN).all()):
        return logits.new_zeros(())
    return functional.cross_entropy(logits.float().flatten(0, 1), guides.flatten(), ignore_index=UNKNOWN)


class StripTrainer(Learner):
    """What learns the batches of a plan, with guidance at first."""

    def __init__(self, network: StripNetwork, plan: StripPlan) -> None:
        super().__init__(
            network,
            learning_rate=plan.learning_rate,
            weight_decay=plan.weight_decay,
            steps=plan.steps + GROUP,
            rising=0.15,
            averaging=plan.averaging,
        )
        self._guided_steps = plan.guided * plan.steps

    def learn(self, batch: StripBatch, step: int) -> float:
        """Step number `step`, from 1; gives the batch's mean loss a character before it."""
        strips = batch.strips.contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            logits = self._network(strips)
        loss = strip_loss(logits, batch.texts, batch.real)
        guided = max(0.0, 1 - step / self._guided_steps) if self._guided_steps else 0.0
        self._optimiser.zero_grad()
        (loss + guided * guidance(logits, batch.guides)).backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self._network.parameters(), CLIPPED)
        self._optimiser.step()
        self._rates.step()
        self.averaged.update_parameters(self._network)
        return float(loss.detach())

    def averages(self) -> StripNetwork:
        """The network of the averaged weights."""
        network = self.averaged.module
        assert isinstance(network, StripNetwork)
        return network


def copied(network: StripNetwork) -> StripNetwork:
    """The same weights in a network of its own: reading folds the batch norms of the one that it is given."""
    # Its random weights, which nobody needs, must not take the numbers that dropout would draw.
    with torch.random.fork_rng(devices=[]):
        twin = StripNetwork(**network.built_from)
    twin.load_state_dict(network.state_dict())
    return twin


def temperature(network: StripNetwork, known: Sequence[KnownStrip]) -> float:
    """What the logits are divided by, so that the known numbers are likeliest (Guo et al., 2017).

    On a grid: the loss of a whole string has no derivative that is worth the code.
    """
    grid = np.geomspace(0.7, 3.0, 15)
    losses = []
    for candidate in grid:
        reader = StripReader(copied(network), float(candidate))
        columns = [ctc.digits_only(c) for c in reader.columns([k.strip.pixels for k in known])]
        scores = [ctc.log_probability(c, k.digits) for c, k in zip(columns, known, strict=True)]
        losses.append(-np.mean(np.maximum(scores, -50.0)))
    return float(grid[int(np.argmin(losses))])


def whole_right(reader: StripReader, known: Sequence[KnownStrip]) -> float:
    """The share of numbers of which every digit is right on the likeliest path.

    The likeliest string, over all its paths, takes long to find for a network that cannot read yet.
    """
    read = [ctc.greedy(ctc.digits_only(c)) for c in reader.columns([k.strip.pixels for k in known])]
    return float(np.mean([found == k.digits for found, k in zip(read, known, strict=True)]))
