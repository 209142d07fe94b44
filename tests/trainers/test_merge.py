"""Merged weights, against arithmetic in NumPy and what the arc must do."""

import copy
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM

from rlenv.cli import train
from rlenv.common.errors import UserError
from rlenv.common.settings import parse
from rlenv.models import checkpoint, presets
from rlenv.trainers.merge import MergeSettings, linear, slerp, task_arithmetic


def random_model(seed, shape=(4, 3)):
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(shape, generator=generator) for name in ("one", "two")}


def numbers(weights):
    return {name: tensor.double().numpy() for name, tensor in weights.items()}


@given(st.lists(st.floats(-2, 2), min_size=2, max_size=4), st.booleans())
def test_linear_is_the_weighted_mean(weights, normalise):
    if normalise and abs(sum(weights)) < 0.1:
        return
    models = [random_model(n) for n in range(len(weights))]
    merged = linear(list(zip(models, weights, strict=True)), normalise=normalise)
    total = sum(weights) if normalise else 1
    for name in merged:
        expected = sum(w * numbers(m)[name] for m, w in zip(models, weights, strict=True)) / total
        np.testing.assert_allclose(merged[name].numpy(), expected, rtol=1e-4, atol=1e-4)


@given(st.floats(-1, 2), st.floats(-1, 2))
def test_task_arithmetic_adds_task_vectors(first, second):
    base, a, b = (random_model(n) for n in range(3))
    merged = task_arithmetic(base, [(a, first), (b, second)])
    for name in merged:
        theta = numbers(base)[name]
        expected = theta + first * (numbers(a)[name] - theta) + second * (numbers(b)[name] - theta)
        np.testing.assert_allclose(merged[name].numpy(), expected, rtol=1e-4, atol=1e-4)


def test_a_task_vector_can_be_taken_away():
    base, tuned = random_model(0), random_model(1)
    added = task_arithmetic(base, [(tuned, 1.0)])
    assert all(torch.allclose(added[name], tuned[name], atol=1e-6) for name in base)
    assert all(torch.equal(task_arithmetic(base, [(tuned, 0.0)])[n], base[n]) for n in base)


@given(st.floats(0, 1))
def test_slerp_keeps_length_and_divides_the_angle(place):
    """Between tensors of one length it stays at that length, and at the share of the angle."""
    a, b = random_model(0), random_model(1)
    b = {name: w * (a[name].norm() / w.norm()) for name, w in b.items()}
    merged = slerp(a, b, place)
    for name, tensor in merged.items():
        one, other, found = (w.double().flatten().numpy() for w in (a[name], b[name], tensor))
        assert np.linalg.norm(found) == pytest.approx(np.linalg.norm(one), rel=1e-4)
        whole = math.acos(one @ other / np.linalg.norm(one) / np.linalg.norm(other))
        cosine = one @ found / np.linalg.norm(one) / np.linalg.norm(found)
        part = math.acos(min(1.0, cosine))
        assert part == pytest.approx(place * whole, abs=2e-3)


def test_slerp_s_ends_and_its_straight_cases():
    a, b = random_model(0), random_model(1)
    for place, end in ((0.0, a), (1.0, b)):
        merged = slerp(a, b, place)
        assert all(torch.allclose(merged[name], end[name], atol=1e-5) for name in a)
    double = {name: 2 * w for name, w in a.items()}
    assert torch.allclose(slerp(a, double, 0.5)["one"], 1.5 * a["one"], atol=1e-5)
    opposite = {name: -w for name, w in a.items()}
    assert torch.allclose(slerp(a, opposite, 0.25)["one"], 0.5 * a["one"], atol=1e-5)
    nothing = {name: torch.zeros_like(w) for name, w in a.items()}
    assert torch.allclose(slerp(a, nothing, 0.5)["one"], 0.5 * a["one"], atol=1e-5)


@pytest.fixture
def two_checkpoints(nano, tokenizer, tmp_path):
    for seed in (1, 2):
        torch.manual_seed(seed)
        model = copy.deepcopy(nano)
        for weight in model.parameters():
            weight.data += 0.1 * torch.randn_like(weight)
        checkpoint.save(model, tokenizer, tmp_path / f"model-{seed}")
    return tmp_path / "model-1", tmp_path / "model-2"


def merged_by(tmp_path, own, stage):
    config = tmp_path / "merge.yaml"
    config.write_text(
        f"run_dir: {tmp_path}/run\nmodel: {own}\nthreads: 1\nstages: {{merge: {stage}}}\n"
    )
    code = train.main([str(config)])
    return code, tmp_path / "run" / "merge"


def test_the_stage_leaves_a_model_that_loads(two_checkpoints, tmp_path):
    own, other = two_checkpoints
    code, folder = merged_by(tmp_path, own, f"{{models: {{{other}: 3}}, own: 1}}")
    assert code == 0
    loaded = [AutoModelForCausalLM.from_pretrained(f).state_dict() for f in (own, other, folder)]
    for name, merged in loaded[2].items():
        expected = 0.25 * loaded[0][name] + 0.75 * loaded[1][name]
        torch.testing.assert_close(merged, expected, rtol=1e-5, atol=1e-6)
    assert checkpoint.load_tokenizer(str(folder)).chat_template


def test_models_of_different_shapes_are_refused(two_checkpoints, tokenizer, tmp_path, capsys):
    torch.manual_seed(0)
    wide = presets.build("micro", vocabulary=len(tokenizer), max_length=64, tokenizer=tokenizer)
    checkpoint.save(wide, tokenizer, tmp_path / "wide")
    code, _ = merged_by(tmp_path, two_checkpoints[0], f"{{models: {{{tmp_path}/wide: 1}}}}")
    assert code == 2
    assert "only models of one architecture can be merged" in capsys.readouterr().err


def test_what_the_settings_refuse():
    for raw, message in (
        ({"method": "slerp", "models": {"a": 0.5, "b": 0.5}}, "slerp merges one other model"),
        ({"method": "slerp", "models": {"a": 2}}, "between 0 and 1"),
        ({"models": {"a": -1}}, "the weights add up to 0"),
    ):
        with pytest.raises(UserError, match=message):
            parse(MergeSettings, raw, "test", "merge.")
