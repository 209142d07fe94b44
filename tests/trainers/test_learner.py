"""A step is the same however its batch is cut, and an exploding one is not taken."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from rlenv.trainers.rl.batch import Batch
from rlenv.trainers.rl.learner import Learner, LossExploded
from rlenv.trainers.rl.policy import Policy
from rlenv.trainers.rl.settings import OnPolicySettings

from .support import grouped

WITH_KL = {"kl": {"coefficient": 0.1}, "entropy_bonus": 0.01}
CASES = {
    "grpo": {"algorithm": "grpo", **WITH_KL},
    "dr_grpo": {"algorithm": "dr_grpo", **WITH_KL},
    "dapo": {"algorithm": "dapo", **WITH_KL},
    "gspo": {"algorithm": "gspo", **WITH_KL},
    "cispo": {"algorithm": "cispo"},
    "rloo": {"algorithm": "rloo"},
    "ppo": {"algorithm": "ppo"},
    "shared trunk": {"algorithm": "ppo", "critic": {"shared": True}},
    "by turn": {"algorithm": "ppo", "critic": {"unit": "turn"}},
    "lora": {"algorithm": "grpo", "lora": {"rank": 4}, **WITH_KL},
    "recomputed": {"algorithm": "grpo", "gradient_checkpointing": True},
}


@pytest.fixture
def make(finished_run):
    def made(**values):
        settings = OnPolicySettings(steps=1, **values)
        policy = Policy(str(finished_run / "sft"), settings, "cpu", 0)
        return Learner(policy, settings, Accelerator(cpu=True))

    return made


def batch_for(learner, seed=0):
    """Rollouts of three groups of different sizes, some of two turns, nearly on the policy."""
    batch = Batch.of(grouped(len(learner.policy.tokenizer), seed))
    generator = torch.Generator().manual_seed(seed)

    def noise(scale):
        return scale * torch.randn(batch.mask.shape, generator=generator) * batch.mask

    batch = replace(
        batch,
        old_logprobs=learner.logprobs(batch) + noise(0.2),
        reference=learner.reference_logprobs(batch) + noise(0.2),
        advantages=noise(1.0),
    )
    if learner.s.critic is None:
        return batch
    asked = batch.mask if learner.s.critic.unit == "token" else batch.turn_edges()[0]
    values = learner.values(batch)
    return replace(batch, values=values, returns=values + noise(1.0), value_mask=asked)


def gradient(learner, batch):
    """The gradient of one step and its metrics; the step itself is not taken."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learner.optimizer, "step", lambda: None)
        patch.setattr(learner.optimizer, "zero_grad", lambda: None)
        metrics = learner.step(batch, 1.0)
    models = [learner.policy.trained, learner.policy.critic]
    parameters = [p for m in models if m is not None for p in m.parameters()]
    flat = torch.cat([p.grad.flatten() for p in parameters if p.grad is not None])
    learner.optimizer.zero_grad()
    return flat, metrics


@pytest.mark.parametrize("case", CASES)
def test_the_gradient_does_not_depend_on_how_the_batch_is_cut(make, case):
    # the norm is clipped at 1: without the bound, a factor common to all parts would not be seen
    learner = make(micro_batch=1000, max_grad_norm=1e6, **CASES[case])
    batch = batch_for(learner)
    expected, metrics = gradient(learner, batch)
    assert expected.abs().max() > 1e-3
    for micro_batch, width in [(1, None), (4, None), (4, 10_000), (1000, 10_000)]:
        learner.s = learner.s.model_copy(update={"micro_batch": micro_batch})
        learner.policy.width = width
        found, measured = gradient(learner, batch)
        assert torch.allclose(found, expected, atol=2e-6, rtol=1e-4), (micro_batch, width)
        assert measured == pytest.approx(metrics, abs=1e-5, rel=1e-4)


def test_how_far_the_policy_is_from_what_was_sampled_is_measured(make):
    """The largest difference of one token, and the mean over the tokens that were sampled."""
    learner = make()
    batch = batch_for(learner)
    gap = (learner.logprobs(batch) - batch.old_logprobs).abs()[batch.mask > 0]
    _, metrics = gradient(learner, batch)
    name = "sampling/sampling_logp_difference"
    assert metrics[f"{name}/max"] == pytest.approx(float(gap.max()), rel=1e-4)
    assert metrics[f"{name}/mean"] == pytest.approx(float(gap.mean()), rel=1e-4)


def test_the_order_of_rows_and_padding_do_not_matter(make):
    learner = make(max_grad_norm=1e6)
    batch = batch_for(learner)
    expected, _ = gradient(learner, batch)
    shuffled = batch.rows(torch.randperm(len(batch), generator=torch.Generator().manual_seed(1)))
    found, _ = gradient(learner, shuffled)
    assert torch.allclose(found, expected, atol=2e-6, rtol=1e-4)


def test_logprobs_and_values_do_not_depend_on_the_cut(make):
    learner = make(algorithm="ppo", micro_batch=1000)
    batch = batch_for(learner)
    logprobs, values = learner.logprobs(batch), learner.values(batch)
    learner.s = learner.s.model_copy(update={"micro_batch": 2})
    assert torch.allclose(learner.logprobs(batch), logprobs, atol=1e-5)
    assert torch.allclose(learner.values(batch), values, atol=1e-5)


def test_under_lora_the_reference_is_the_model_with_its_adapter_off(make):
    plain, adapted = make(), make(lora={"rank": 4}, learning_rate=0.1)
    batch = batch_for(plain)
    expected = plain.reference_logprobs(batch)
    assert torch.allclose(adapted.reference_logprobs(batch), expected, atol=1e-5)
    adapted.step(batch, 1.0)
    adapted.step(batch, 1.0)
    assert torch.allclose(adapted.reference_logprobs(batch), expected, atol=1e-5)
    assert not torch.allclose(adapted.logprobs(batch), expected, atol=1e-2)


def test_dropout_is_off_where_a_policy_is_trained(tokenizer, tmp_path):
    """A ratio to what was sampled means nothing where each pass drops other units."""
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_positions=64,
        n_embd=16,
        n_layer=1,
        n_head=2,
        resid_pdrop=0.5,
        embd_pdrop=0.5,
        attn_pdrop=0.5,
    )
    GPT2LMHeadModel(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    settings = OnPolicySettings(steps=1)
    learner = Learner(Policy(str(tmp_path), settings, "cpu", 0), settings, Accelerator(cpu=True))
    batch = Batch.of(grouped(len(tokenizer)))
    learner.policy.trained.eval()
    expected = learner.logprobs(batch)
    learner.policy.trained.train()
    assert torch.equal(learner.logprobs(batch), expected)
    assert float(expected.min()) < -1


def test_deepspeed_is_told_how_many_rows_it_gets_at_once(nano, tokenizer, tmp_path, monkeypatch):
    nano.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    settings = OnPolicySettings(steps=1, micro_batch=5)
    policy = Policy(str(tmp_path), settings, "cpu", 0)
    accelerator = Accelerator(cpu=True)
    told = SimpleNamespace(deepspeed_config={}, enable_msamp=False)
    monkeypatch.setattr(AcceleratorState, "deepspeed_plugin", told)
    Learner(policy, settings, accelerator)
    assert told.deepspeed_config == {"train_micro_batch_size_per_gpu": 5}


@pytest.mark.parametrize(
    ("settings", "counted"),
    [
        ({}, {"policy", "reference"}),
        ({"kl": {"reference": False}}, {"policy"}),
        ({"algorithm": "ppo"}, {"policy", "reference", "critic"}),
        ({"algorithm": "ppo", "critic": {"shared": True}}, {"policy", "reference", "critic"}),
    ],
)
def test_the_memory_of_weights_is_counted_once(make, settings, counted):
    policy = make(**settings).policy
    memory = policy.memory()
    of_model = sum(p.numel() * 4 for p in policy.model.parameters())
    width = policy.model.config.hidden_size
    head = (width + 1) * 4
    assert {name for name, size in memory.items() if size} == counted
    assert memory["policy"] == of_model
    assert memory["reference"] == (of_model if "reference" in counted else 0)
    shared = settings.get("critic", {}).get("shared", False)
    trunk = 0 if shared or "critic" not in counted else of_model
    assert memory["critic"] == (trunk + head if "critic" in counted else 0)


def test_the_reference_stays_where_the_stage_began(make):
    learner = make(learning_rate=0.1)
    batch = batch_for(learner)
    expected = learner.reference_logprobs(batch)
    learner.step(batch, 1.0)
    assert torch.equal(learner.reference_logprobs(batch), expected)
    assert not torch.allclose(learner.logprobs(batch), expected, atol=1e-2)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        ({"advantages": float("nan")}, "loss is nan"),
        ({"advantages": 1e9}, "loss is .*e"),
        ({"old_logprobs": float("-inf")}, "loss is (inf|nan)"),
    ],
)
def test_a_loss_that_explodes_changes_nothing(make, spoil, says):
    learner = make(micro_batch=4)
    batch = batch_for(learner)
    before = {k: v.clone() for k, v in learner.policy.model.state_dict().items()}
    ((name, value),) = spoil.items()
    spoilt = getattr(batch, name).clone()
    spoilt[batch.mask > 0] = value
    with pytest.raises(LossExploded, match=says):
        learner.step(replace(batch, **{name: spoilt}), 1.0)
    after = learner.policy.model.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    learner.step(batch, 1.0)  # nothing of it is left in the gradients
    assert all(p.isfinite().all() for p in learner.policy.model.parameters())


@pytest.mark.parametrize("settings", [{}, {"lora": {"rank": 4}}, CASES["shared trunk"]])
def test_what_is_saved_is_what_was_trained(make, tmp_path, settings):
    """Merged under LoRA, without the value head; transformers loads it."""
    from rlenv.models import checkpoint
    from rlenv.trainers.rl.forward import score

    learner = make(learning_rate=0.05, **settings)
    batch = batch_for(learner)
    learner.step(batch, 1.0)
    expected = learner.logprobs(batch)
    state = learner.accelerator.get_state_dict(learner.trained)
    learner.policy.save(tmp_path / "saved", state)
    model, _ = checkpoint.load(str(tmp_path / "saved"), device="cpu")
    assert torch.allclose(score(model, batch, 1.0).logprobs, expected, atol=1e-4)
