"""The divergence from the reference, and what it costs."""

import pytest
import torch

from rlenv.trainers.rl.kl import KLCoefficient, KLSettings, divergence


def categories():
    """Two distributions over the same five tokens."""
    generator = torch.Generator().manual_seed(0)
    policy, reference = torch.randn(2, 5, generator=generator, dtype=torch.float64)
    return policy, reference.log_softmax(0)


@pytest.mark.parametrize("estimator", ["k1", "k3"])
def test_k1_and_k3_are_the_divergence_on_average(estimator):
    logits, reference = categories()
    logprobs = logits.log_softmax(0)
    exact = (logprobs.exp() * (logprobs - reference)).sum()
    estimated = (logprobs.exp() * divergence(logprobs, reference, estimator)).sum()
    assert float(estimated) == pytest.approx(float(exact), abs=1e-9)


def test_the_gradient_of_k2_is_that_of_the_divergence_and_k1_pulls_nowhere():
    """As a term of the loss, where samples are drawn without gradient."""
    logits, reference = categories()
    logits.requires_grad_()
    logprobs = logits.log_softmax(0)
    (exact,) = torch.autograd.grad(
        (logprobs.exp() * (logprobs - reference)).sum(), logits, retain_graph=True
    )

    def on_average(estimator):
        term = (logprobs.exp().detach() * divergence(logprobs, reference, estimator)).sum()
        return torch.autograd.grad(term, logits, retain_graph=True)[0]

    assert torch.allclose(on_average("k2"), exact, atol=1e-9)
    assert torch.allclose(on_average("k1"), torch.zeros(5, dtype=torch.float64), atol=1e-9)


def test_k3_is_never_negative():
    gap = torch.linspace(-3, 3, 61)
    found = divergence(torch.zeros(61), gap, "k3")
    assert (found >= -1e-7).all()  # up to rounding
    assert float(found[30]) == pytest.approx(0, abs=1e-7)


def test_an_adaptive_coefficient_steers_towards_its_target():
    kl = KLCoefficient(KLSettings(coefficient=0.1, target=0.05, gain=0.1))
    kl.follow(0.5)
    assert kl.value == pytest.approx(0.1 * 1.02)  # the error is bounded to 20 %
    kl.follow(0.05)
    assert kl.value == pytest.approx(0.1 * 1.02)
    kl.follow(0.0)
    assert kl.value == pytest.approx(0.1 * 1.02 * 0.98)
    other = KLCoefficient(KLSettings(coefficient=0.1, target=0.05))
    other.load_state_dict(kl.state_dict())
    assert other.value == kl.value


def test_a_fixed_coefficient_stays():
    kl = KLCoefficient(KLSettings(coefficient=0.1))
    kl.follow(9.0)
    assert kl.value == 0.1


def test_the_reward_is_charged_what_a_loss_could_not_be():
    """A token that the policy all but forgot costs its gap in the reward, not e to its power."""
    forgotten, reference = torch.tensor([-14.0]), torch.tensor([-1.0])
    in_reward, in_loss = KLSettings(place="reward"), KLSettings()
    assert float(divergence(forgotten, reference, in_reward.charged)) == pytest.approx(-13)
    assert float(divergence(forgotten, reference, in_loss.charged)) > 4e5
    assert KLSettings(place="reward", estimator="k2").charged == "k2"
