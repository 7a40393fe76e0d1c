"""Steps that are as long along each direction of a weight matrix as along any other."""

import pytest
import torch
from torch import nn

from training.networks.crnn import CRNN
from training.networks.seq2seq import Seq2Seq
from training.optim.muon import Muon, find_matrices, orthogonalise


@pytest.mark.parametrize("shape", [(1, 24, 60), (1, 60, 24), (4, 32, 32)])
def test_singular_values_come_to_about_one(shape: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    scales = torch.logspace(0, -2, min(shape[1:]))
    u, _, v = torch.linalg.svd(torch.randn(shape), full_matrices=False)
    values = torch.linalg.svdvals(orthogonalise(u * scales @ v))
    assert values.shape == (shape[0], min(shape[1:]))
    assert 0.6 < values.min() < values.max() < 1.3


def test_a_gradient_of_nothing_is_no_step() -> None:
    assert torch.equal(orthogonalise(torch.zeros(1, 3, 4)), torch.zeros(1, 3, 4))


def test_finds_the_weights_of_convolutions_and_lstms_but_not_of_what_comes_last() -> None:
    network = CRNN(classes=7, height=16, channels=(2, 3, 4, 5), hidden=6)
    names = {id(weight): name for name, weight in network.named_parameters()}
    found = {names[id(weight)]: parts for weight, parts in find_matrices(network)}
    assert {name for name, parts in found.items() if parts == 4} == {
        f"lstm.weight_{side}_l{layer}{way}" for side in ("ih", "hh") for layer in (0, 1) for way in ("", "_reverse")
    }
    assert {name.split(".")[0] for name, parts in found.items() if parts == 1} == {"convolutions", "pairs"}
    assert all(network.get_parameter(name).ndim > 1 for name in found)


def test_what_is_frozen_is_not_found() -> None:
    assert not list(find_matrices(Seq2Seq(classes=7, height=16, channels=(2, 3, 4, 5), hidden=6, width=8, heads=2)))


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_a_step_goes_down_by_the_learning_rate_however_large_the_gradient(precision: torch.dtype) -> None:
    torch.manual_seed(0)
    network = nn.Conv2d(3, 8, 3, bias=False).to(memory_format=torch.channels_last)
    muon = Muon(list(find_matrices(network)), lr=0.01, weight_decay=0.0, precision=precision)
    gradient = torch.randn(network.weight.shape)
    for size in (1e-6, 1.0, 1e6):
        before = network.weight.detach().clone()
        network.weight.grad = size * gradient
        muon.step()
        step = network.weight.detach() - before
        assert network.weight.dtype == torch.float32
        assert (step * gradient).sum() < 0
        # Such as Adam's usually are.
        assert step.square().mean().sqrt() == pytest.approx(0.2 * 0.01, rel=0.2)


def test_weights_decay_by_the_learning_rate() -> None:
    network = nn.LSTM(4, 4)
    weight = network.weight_hh_l0
    muon = Muon(list(find_matrices(network)), lr=0.1, weight_decay=0.5)
    before = weight.detach().clone()
    weight.grad = torch.zeros_like(weight)
    muon.step()
    assert torch.allclose(weight, 0.95 * before)
