"""Networks are rebuilt from what a manifest says, and folding their batch norms changes no score."""

import pytest
import torch
from torch import nn

from processor.errors import BadModel
from processor.prediction.networks import build, fold

PARAMETERS = {"classes": 11, "widths": [8, 16], "hidden": 8, "dropout": 0.3}


def count_parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def trained_a_little() -> nn.Module:
    """A network whose batch norms have seen data, so that folding has something to fold."""
    torch.manual_seed(3)
    network = build("strided-residual", PARAMETERS)
    for _ in range(3):
        network(torch.rand(16, 1, 28, 28))
    return network.eval()


@pytest.mark.parametrize("count", [0, 1, 5])
def test_glyphs_become_a_row_of_scores_each(count: int) -> None:
    with torch.inference_mode():
        assert trained_a_little()(torch.rand(count, 1, 28, 28)).shape == (count, 11)


def test_the_default_network_is_small() -> None:
    assert 100_000 < count_parameters(build("strided-residual", {"classes": 11})) < 180_000


def test_parameters_decide_the_size() -> None:
    assert count_parameters(build("strided-residual", PARAMETERS)) < 20_000


def test_folding_keeps_the_scores_and_leaves_no_batch_norm() -> None:
    network, glyphs = trained_a_little(), torch.rand(7, 1, 28, 28)
    with torch.inference_mode():
        before = network(glyphs)
        after = fold(network)(glyphs)
        again = fold(network)(glyphs)
    torch.testing.assert_close(after, before, atol=1e-5, rtol=1e-5)
    assert torch.equal(again, after)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in network.modules())


def test_dropout_is_silent_in_use() -> None:
    network, glyphs = trained_a_little(), torch.rand(4, 1, 28, 28)
    with torch.inference_mode():
        assert torch.equal(network(glyphs), network(glyphs))


def test_every_weight_is_learnt() -> None:
    network = build("strided-residual", PARAMETERS)
    network(torch.rand(4, 1, 28, 28)).sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_an_unknown_architecture_is_refused_by_name() -> None:
    with pytest.raises(BadModel, match=r"'perceptron'.*strided-residual"):
        build("perceptron", {})


@pytest.mark.parametrize("parameters", [{"layers": 3}, {"widths": [8]}, {"classes": "many"}, {"classes": -1}])
def test_parameters_that_do_not_fit_are_refused(parameters: dict[str, object]) -> None:
    with pytest.raises(BadModel, match="strided-residual refuses"):
        build("strided-residual", parameters)
