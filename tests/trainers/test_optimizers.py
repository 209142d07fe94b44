import math
from copy import deepcopy

import pytest
import torch

from rlenv.trainers.common import optimizers
from rlenv.trainers.common.optimizers import cosine, warmup_stable_decay


def a_step(name, model, **changes):
    made = optimizers.make(name, model, 0.1, changes.get("weight_decay", 0.0))
    ids = torch.arange(10, 40)[None]
    model(ids, labels=ids).loss.backward()
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    made.step(0.1, changes.get("max_norm", 1e9))
    return made, {n: p.detach() - before[n] for n, p in model.named_parameters()}


def test_muon_moves_matrices_along_orthogonal_directions(nano):
    """The update of a matrix has singular values of about one size; AdamW's has not."""
    _, moved = a_step("muon", deepcopy(nano))
    _, plain = a_step("adamw", deepcopy(nano))
    for name, update in moved.items():
        if update.ndim == 2 and "layers" in name:
            # five Newton-Schulz steps bring what is not tiny near to 1
            values = torch.linalg.svdvals(update) / (0.1 * 0.2 * math.sqrt(max(update.shape)))
            assert 0.7 < float(values[9]) < float(values[0]) < 1.3, name
            others = torch.linalg.svdvals(plain[name])
            assert float(others[9] / others[0]) < 0.8 * float(values[9] / values[0]), name
        else:
            torch.testing.assert_close(update, plain[name])


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_norms_do_not_decay_and_the_state_comes_back(nano, name):
    model = deepcopy(nano)
    made, moved = a_step(name, model, weight_decay=0.5)
    _, free = a_step(name, deepcopy(nano), weight_decay=0.0)
    for key, update in moved.items():
        assert torch.equal(update, free[key]) == (update.ndim < 2), key
    other = optimizers.make(name, deepcopy(model), 0.1, 0.5)
    other.load_state_dict(made.state_dict())
    assert len(other.parts) == len(made.parts)
    for a, b in zip(made.parts, other.parts, strict=True):
        assert a.state_dict()["state"].keys() == b.state_dict()["state"].keys()


def test_what_is_outside_the_layers_may_have_a_lower_rate(nano):
    """Its step is that share of the whole one; matrices inside move as before."""

    def moved(outside):
        model = deepcopy(nano)
        made = optimizers.make("muon", model, 0.1, 0.0, outside=outside)
        ids = torch.arange(10, 40)[None]
        model(ids, labels=ids).loss.backward()
        made.step(0.05, 1e9)
        before = dict(nano.named_parameters())
        return {n: p.detach() - before[n].detach() for n, p in model.named_parameters()}

    whole, less = moved(1.0), moved(0.25)
    for name, update in whole.items():
        inside = update.ndim == 2 and "layers" in name
        torch.testing.assert_close(less[name], update if inside else 0.25 * update)


def test_joined_optimizers_step_as_apart_under_a_schedule(nano):
    """As a trainer drives them, with a scheduler that sets the rates and a state that is saved."""

    def trained(steps, joined):
        model = deepcopy(nano)
        made = optimizers.make("muon", model, 0.1, 0.5)
        one = optimizers.Joined(made.parts)
        rates = torch.optim.lr_scheduler.LambdaLR(one, lambda step: 1 / (1 + step))
        for step in range(steps):
            ids = torch.arange(10 + step, 40 + step)[None]
            model(ids, labels=ids).loss.backward()
            if joined:
                one.step()
                one.zero_grad()
                rates.step()
            else:
                made.step(0.1 / (1 + step), 1e9)
            if joined and step == 1:  # saved and loaded by another
                other = optimizers.Joined(optimizers.make("muon", model, 0.1, 0.5).parts)
                other.load_state_dict(deepcopy(one.state_dict()))
                one = other
                kept = rates.state_dict()
                rates = torch.optim.lr_scheduler.LambdaLR(one, lambda step: 1 / (1 + step))
                rates.load_state_dict(kept)
                for group, rate in zip(one.param_groups, rates.get_last_lr(), strict=True):
                    group["lr"] = rate
        return model.state_dict()

    joined, apart = trained(4, joined=True), trained(4, joined=False)
    for name, weights in apart.items():
        torch.testing.assert_close(joined[name], weights)


def test_gradients_are_clipped_together(nano):
    model = deepcopy(nano)
    ids = torch.arange(10, 40)[None]
    model(ids, labels=ids).loss.backward()
    wanted = torch.cat([p.grad.flatten() for p in model.parameters()]).norm()
    made = optimizers.make("muon", model, 1e-3, 0.0)
    assert made.step(1e-3, 0.5) == pytest.approx(float(wanted), rel=1e-5)
    assert all(p.grad is None for p in model.parameters())


def test_schedules():
    wsd = [warmup_stable_decay(step, 10, 0.2, 0.5) for step in range(10)]
    assert wsd == pytest.approx([0.5, 1, 1, 1, 1, 1, 0.8, 0.6, 0.4, 0.2])
    half = [cosine(step, 12, 1 / 6, 0.1) for step in range(13)]
    assert half[:3] == pytest.approx([0.5, 1.0, 1.0])
    assert half[7] == pytest.approx(0.55)  # the middle of the way down
    assert half[12] == pytest.approx(0.1)
    assert half[2:] == sorted(half[2:], reverse=True)
