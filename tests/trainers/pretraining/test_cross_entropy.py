import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from rlenv.trainers.pretraining import cross_entropy
from rlenv.trainers.pretraining.cross_entropy import linear_cross_entropy


@pytest.mark.parametrize("count", [0, 1, 31, 200])
@pytest.mark.parametrize("chunk", [32, 2**19])
def test_it_is_torchs_loss_and_gradient(count, chunk, monkeypatch):
    monkeypatch.setitem(cross_entropy._LOGITS, "cpu", chunk * 50)
    torch.manual_seed(count)
    hidden = torch.randn(count, 12, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(50, 12, dtype=torch.float64, requires_grad=True)
    labels = torch.randint(0, 50, (count,))
    labels[1::3] = -100
    ours = linear_cross_entropy(hidden, weight, labels, torch.float64) * 0.3
    found = torch.autograd.grad(ours, [hidden, weight])
    theirs = 0.3 * F.cross_entropy(hidden @ weight.T, labels, reduction="sum")
    wanted = torch.autograd.grad(theirs, [hidden, weight])
    # the softmax is in float32
    torch.testing.assert_close(ours.double(), theirs, rtol=1e-6, atol=1e-6)
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


def test_without_gradients_it_is_the_same():
    hidden, weight = torch.randn(40, 12), torch.randn(50, 12, requires_grad=True)
    labels = torch.randint(0, 50, (40,))
    with torch.no_grad():
        quiet = linear_cross_entropy(hidden, weight, labels, torch.float32)
    assert quiet == linear_cross_entropy(hidden, weight, labels, torch.float32)
    assert not quiet.requires_grad
