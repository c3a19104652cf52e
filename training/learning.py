"""A network in training, and all that a checkpoint must hold of it."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


def named(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors, each name after `prefix` and a dot."""
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors that `named` gave this prefix, by their own names."""
    start = f"{prefix}."
    return {name.removeprefix(start): t for name, t in tensors.items() if name.startswith(start)}


class Learner:
    """A network, its optimiser, its one-cycle learning rate and the running average of its weights."""

    def __init__(
        self,
        network: nn.Module,
        *,
        learning_rate: float,
        weight_decay: float,
        steps: int,
        rising: float,
        averaging: float,
    ) -> None:
        """The rate rises to `learning_rate` over the share `rising` of the `steps`, then falls."""
        self._network = network.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        self._device = next(network.parameters()).device
        self._optimiser = torch.optim.AdamW(
            network.parameters(), learning_rate, weight_decay=weight_decay, fused=True
        )
        self._rates = torch.optim.lr_scheduler.OneCycleLR(
            self._optimiser, learning_rate, total_steps=steps, pct_start=rising
        )
        self.averaged = AveragedModel(network, avg_fn=running_average(averaging), use_buffers=True)

    def tensors(self) -> dict[str, Tensor]:
        """Weights, averages, the optimiser's moments, and the random numbers that dropout will draw."""
        found = named("network", self._network.state_dict())
        found |= named("averaged", self.averaged.state_dict())
        for place, moments in self._optimiser.state_dict()["state"].items():
            found |= named(f"optimiser.{place}", moments)
        found["random"] = torch.get_rng_state()
        if self._device.type == "cuda":
            found["random-cuda"] = torch.cuda.get_rng_state(self._device)
        return {name: tensor.detach().cpu().contiguous() for name, tensor in found.items()}

    def rates(self) -> dict[str, Any]:
        """Where the optimiser and its learning rate stand, as JSON values."""
        return {
            "groups": self._optimiser.state_dict()["param_groups"],
            "schedule": self._rates.state_dict(),
        }

    def restore(self, tensors: Mapping[str, Tensor], rates: Mapping[str, Any]) -> None:
        """Takes up what `tensors` and `rates` gave."""
        self._network.load_state_dict(under("network", tensors))
        self.averaged.load_state_dict(under("averaged", tensors))
        moments = {
            place: self._like_parameter(under(f"optimiser.{place}", tensors), parameter)
            for place, parameter in enumerate(self._network.parameters())
        }
        self._optimiser.load_state_dict({"state": moments, "param_groups": rates["groups"]})
        self._rates.load_state_dict(dict(rates["schedule"]))
        torch.set_rng_state(tensors["random"])
        if self._device.type == "cuda" and "random-cuda" in tensors:
            torch.cuda.set_rng_state(tensors["random-cuda"], self._device)

    def _like_parameter(self, moments: dict[str, Tensor], parameter: Tensor) -> dict[str, Tensor]:
        """Moments laid out in memory as their parameter is: the fused step walks over all of them alike."""
        return {
            name: torch.empty_like(parameter).copy_(tensor) if tensor.shape == parameter.shape else tensor
            for name, tensor in moments.items()
        }


def running_average(decay: float) -> Callable[[Tensor, Tensor, Tensor | int], Tensor]:
    """An exponential moving average that forgets faster at first: the untrained weights must not linger."""

    def average(old: Tensor, new: Tensor, steps: Tensor | int) -> Tensor:
        if not old.is_floating_point():
            return new
        return old.lerp(new, 1 - min(decay, (1 + int(steps)) / (10 + int(steps))))

    return average
