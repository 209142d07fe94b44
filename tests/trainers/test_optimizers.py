import math
from copy import deepcopy

import pytest
import torch

from trainers import optimizers
from trainers.schedule import cosine, warmup_stable_decay


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
