"""RLHF in one run: a reward model, then a policy that follows it, on one trunk or on four."""

import json

import torch

from rlenv.common.files import read_lines
from rlenv.models import checkpoint
from rlenv.models.reward_model import RewardModel
from rlenv.models.shared_backbone import SharedBackbone
from rlenv.trainers.common import lora
from rlenv.trainers.common.lora import LoRASettings

LORA = {"rank": 4}
REWARD = {"epochs": 2, "batch_size": 16, "learning_rate": 1e-2, "warmup_steps": 2}
PPO = {
    "groups": 16,
    "group_size": 1,
    "steps": 3,
    "max_tokens": 6,
    "learning_rate": 1e-3,
    "eval_every": 3,
    "eval_tasks": 8,
    "kl": {"coefficient": 0.05, "place": "reward"},
}


def environment(polite):
    return {"id": "rlenv/RewardModel-v0", "model": "${run_dir}/reward", "rows": str(polite)}


def last_line(run, stage):
    return [line for line in read_lines(run / "metrics.jsonl") if line["stage"] == stage][-1]


def first_line(run, stage):
    return next(line for line in read_lines(run / "metrics.jsonl") if line["stage"] == stage)


def test_ppo_follows_the_reward_model_that_the_run_trained(run_stages, polite):
    stages = {
        "reward": {**REWARD, "learning_rate": 3e-3, "data": {"rows": str(polite)}},
        "ppo": PPO,
    }
    run = run_stages(stages, env=environment(polite))
    first = first_line(run, "ppo")
    sizes = {
        name: first[f"memory/{name}_mb"] for name in ("policy", "reference", "critic", "reward")
    }
    assert min(sizes.values()) > 0.9 * sizes["policy"] > 0  # four models
    assert 0 < first["kl"] < 0.05  # to the policy that the stage began with, after one step
    assert last_line(run, "ppo")["kl"] > 0
    assert "rewards/model/mean" in first
    # the policy is what the reward stage began with, not the reward model
    assert json.loads((run / "ppo" / "config.json").read_text())["architectures"] == [
        "LlamaForCausalLM"
    ]


def test_with_adapters_one_trunk_serves_all(run_stages, polite):
    stages = {
        "reward": {**REWARD, "data": {"rows": str(polite)}, "lora": LORA},
        "ppo": {**PPO, "lora": LORA, "critic": {"shared": True}},
    }
    run = run_stages(stages, env=environment(polite))
    first = first_line(run, "ppo")
    assert first["memory/reference_mb"] == 0
    assert first["memory/critic_mb"] < 0.01 * first["memory/policy_mb"]
    assert first["memory/reward_mb"] < 0.2 * first["memory/policy_mb"]
    assert last_line(run, "ppo")["kl"] > 0
    assert (run / "ppo" / "model.safetensors").exists()


def test_a_shared_trunk_scores_as_the_reward_model_alone(run_stages, polite, chat_model, chat):
    run = run_stages({"reward": {**REWARD, "data": {"rows": str(polite)}, "lora": LORA}}, env=None)
    alone = RewardModel.load(str(run / "reward"), device="cpu")
    sequences = [
        alone.tokens([{"role": "user", "content": f"sum of map {n}?"}], reply)
        for n, reply in enumerate(("please, map", "no, sum", "no", "please"))
    ]
    expected = alone.scores(sequences)

    causal, _ = checkpoint.load(str(chat_model), device="cpu")
    torch.manual_seed(0)
    policy = lora.with_adapter(causal, LoRASettings(rank=8))
    for name, weight in policy.named_parameters():
        if "lora_B" in name:  # a policy that has been trained for a while
            weight.data += 0.3 * torch.randn_like(weight)
    ids = torch.tensor([sequences[0]])
    before = policy(ids).logits.detach()
    trained = {name for name, w in policy.named_parameters() if w.requires_grad}
    backbone = SharedBackbone(str(chat_model), policy)
    shared = RewardModel.load(str(run / "reward"), device="cpu", backbone=backbone)
    torch.testing.assert_close(shared.scores(sequences), expected, rtol=1e-4, atol=1e-4)
    assert shared.bytes() < 0.2 * alone.bytes()
    # and the policy is as it was
    torch.testing.assert_close(policy(ids).logits, before)
    assert {name for name, w in policy.named_parameters() if w.requires_grad} == trained
    stranger = SharedBackbone(str(run), policy)  # of another checkpoint
    assert stranger.acquire(str(run / "reward")) is None
    backbone.release()
    assert not shared.alive
    again = RewardModel.load(str(run / "reward"), device="cpu", backbone=backbone)
    assert again.bytes() == alone.bytes()
