"""Losses and gradients equal TRL's own on the same random batch."""

import inspect
import json
import re
from types import SimpleNamespace
from unittest import mock

import pytest
import torch

from rlenv.trainers.rl import algorithms
from rlenv.trainers.rl.algorithms import LossInputs
from rlenv.trainers.rl.kl import divergence
from rlenv.trainers.rl.settings import OnPolicySettings

from .support import random_inputs

pytest.importorskip("trl", minversion="1.16")  # Python 3.10 gets an older one

LONGEST = 9


def batch_of(seed):
    """Logprobs, old and reference logprobs, mask (B, T); advantages (B,)."""
    logprobs, old, advantages, _ = random_inputs(seed, length=LONGEST)
    mask = torch.ones_like(logprobs)
    mask[0, 5:] = mask[1, 2:] = 0  # TRL's completions are padded on the right
    reference = old + 0.3 * torch.randn(old.shape, generator=torch.Generator().manual_seed(seed))
    return logprobs, old, reference, mask, advantages[:, -1]


def ours(name, logprobs, old, reference, mask, advantages, beta):
    s = OnPolicySettings(algorithm=name, steps=1, max_tokens=LONGEST)
    x = LossInputs(logprobs, old, advantages[:, None] * mask, mask, s.clip_low, s.clip_high)
    per_token = algorithms.find(name).loss(x)
    per_token = per_token + beta * divergence(logprobs, reference, "k3")
    return (per_token * algorithms.token_weights(mask, s.aggregate, s.max_tokens)).sum(), x


def trl(loss_type, logprobs, old, reference, mask, advantages, beta, low, high, level):
    """`GRPOTrainer._compute_loss`, with everything around it left out."""
    from trl import GRPOTrainer

    trainer = mock.MagicMock()
    trainer.aux_loss_enabled = trainer._entropy_bonus_enabled = False
    trainer.loss_type, trainer.beta, trainer.top_entropy_quantile = loss_type, beta, 1.0
    trainer.epsilon_low, trainer.epsilon_high = low, high
    trainer.importance_sampling_level, trainer.off_policy_mask_threshold = level, None
    trainer.use_vllm = trainer.vllm_importance_sampling_correction = False
    trainer.current_gradient_accumulation_steps = 1
    trainer.max_completion_length = LONGEST
    trainer.args = SimpleNamespace(delta=None, use_bias_correction_kl=False, steps_per_generation=1)
    trainer.model = SimpleNamespace(training=True)
    metrics = {"train": {}}
    trainer._metrics = {"train": mock.MagicMock()}
    trainer._metrics["train"].__getitem__.side_effect = lambda n: metrics["train"].setdefault(n, [])
    trainer.accelerator.gather.side_effect = lambda x: x
    trainer.accelerator.reduce.side_effect = lambda x, reduction: x
    trainer.accelerator.num_processes = 1
    trainer._get_per_token_logps_and_entropies.return_value = (
        logprobs,
        torch.zeros_like(mask),
        None,
    )
    batch = {
        "prompt_ids": torch.ones(6, 2, dtype=torch.long),
        "prompt_mask": torch.ones(6, 2, dtype=torch.long),
        "completion_ids": torch.ones(6, LONGEST, dtype=torch.long),
        "completion_mask": mask,
        "advantages": advantages,
        "old_per_token_logps": old,
        "ref_per_token_logps": reference,
        "num_items_in_batch": mask.sum(),
    }
    loss = GRPOTrainer._compute_loss(trainer, mock.MagicMock(), batch)
    return loss, {name: values[0] for name, values in metrics["train"].items()}


# our config word -> TRL's loss_type, epsilon, epsilon_high, importance_sampling_level
PEERS = {
    "grpo": ("grpo", 0.2, 0.2, "token"),
    "dr_grpo": ("dr_grpo", 0.2, 0.2, "token"),
    "bnpo": ("bnpo", 0.2, 0.2, "token"),
    "dapo": ("dapo", 0.2, 0.28, "token"),
    "cispo": ("cispo", None, 5.0, "token"),
    "gspo": ("grpo", 3e-4, 4e-4, "sequence"),
}


@pytest.mark.parametrize("beta", [0.0, 0.04])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", PEERS)
def test_loss_gradient_and_clip_metrics_equal_trls(name, seed, beta):
    logprobs, *rest = batch_of(seed)
    if name == "gspo":  # sequences that are neither all inside nor all outside its narrow range
        rest[0] = logprobs + 3e-4 * torch.randn(6, 1, generator=torch.Generator().manual_seed(seed))
    if name == "cispo":  # ratios on both sides of 5
        rest[0] = logprobs + 6 * (rest[0] - logprobs)
    mine, theirs = (logprobs.clone().requires_grad_() for _ in range(2))
    loss, x = ours(name, mine, *rest, beta)
    loss_type, low, high, level = PEERS[name]
    expected, metrics = trl(loss_type, theirs, *rest, beta, low, high, level)
    loss.backward()
    expected.backward()
    assert float(loss.detach()) == pytest.approx(float(expected.detach()), abs=1e-6)
    assert torch.allclose(mine.grad, theirs.grad, atol=1e-6, rtol=0)
    assert theirs.grad.abs().max() > 1e-3
    mask = rest[2]
    if name != "gspo":  # whose share TRL counts by sequences and we by tokens
        for metric, value in x.metrics.items():
            share = float((value * mask).sum() / mask.sum())
            assert share == pytest.approx(metrics[metric], abs=1e-6)
            assert share > 0


def test_rloo_on_policy_is_trls():
    """Where nothing was updated since, the ratio of sequences that TRL clips has our gradient."""
    from trl import RLOOTrainer

    logprobs, _, _, mask, advantages = batch_of(0)
    mine, theirs = (logprobs.clone().requires_grad_() for _ in range(2))
    x = LossInputs(mine, logprobs, advantages[:, None] * mask, mask, 0.2, 0.2)
    loss = algorithms.find("rloo").loss(x) * algorithms.token_weights(mask, "sum")
    loss.sum().backward()

    trainer = mock.MagicMock()
    trainer.aux_loss_enabled, trainer.model = False, SimpleNamespace(training=True)
    trainer.epsilon_low = trainer.epsilon_high = 0.2
    trainer.accelerator.gather.side_effect = lambda t: t
    trainer._get_per_token_logps_and_entropies.return_value = (theirs, mask * 0, None)
    batch = {
        "prompt_ids": torch.ones(6, 2, dtype=torch.long),
        "prompt_mask": torch.ones(6, 2, dtype=torch.long),
        "completion_ids": torch.ones(6, LONGEST, dtype=torch.long),
        "completion_mask": mask,
        "advantages": advantages,
        "old_logps": (logprobs * mask).sum(1),
    }
    RLOOTrainer._compute_loss(trainer, mock.MagicMock(), batch).backward()
    assert torch.allclose(mine.grad, theirs.grad, atol=1e-6, rtol=0)


def test_advantages_equal_trls():
    """TRL's scale_rewards="group", and "none", which is Dr. GRPO's."""
    from trl.trainer.utils import nanstd

    rewards = torch.rand(4, 8, generator=torch.Generator().manual_seed(0))
    rewards[0] = 1.0
    deviation = nanstd(rewards, dim=1)[:, None]
    centred = rewards - rewards.mean(1, keepdim=True)
    mask = torch.ones_like(rewards)
    scaled = algorithms.find("grpo").advantages(rewards, mask)
    assert torch.allclose(scaled, centred / (deviation + 1e-4), atol=1e-6)
    assert torch.allclose(algorithms.find("dr_grpo").advantages(rewards, mask), centred, atol=1e-6)


# what TRL has no name for
OURS = {
    *("unparseable", "grader_errors", "groups/trained", "groups/refills"),
    "completions/repetition",
    *("tokens_per_second", "time/rollout", "time/train", "time/env"),
}
OF_TRANSFORMERS = {"loss", "grad_norm", "learning_rate"}


def test_metrics_that_trl_has_bear_its_names(finished_run):
    from trl.trainer import grpo_trainer

    lines = [json.loads(line) for line in (finished_run / "metrics.jsonl").open()]
    logged = {name for line in lines if line["stage"] == "grpo" for name in line}
    theirs = inspect.getsource(grpo_trainer)
    families = {name for name in logged if name.startswith(("memory/", "held_out/"))}
    for name in logged - families - OURS - OF_TRANSFORMERS - {"stage", "step"}:
        pattern = re.sub(r"^rewards/\w+/", "rewards/{reward_func_name}/", name)
        assert f'"{pattern}"' in theirs, name
    assert len(logged) > 25
