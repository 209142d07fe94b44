"""A stage about to begin from a model of a few thousand weights, and what its steps did."""

import contextlib

import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook
from transformers import AutoModelForCausalLM

from rlenv.models import presets
from rlenv.trainers.rl import worker
from rlenv.trainers.rl.loop import Loop
from rlenv.trainers.rl.settings import OnPolicySettings

from .episodes import crafted, seen


@pytest.fixture(scope="session")
def source(tokenizer, tmp_path_factory):
    """A checkpoint folder: random weights, so the distributions are neither flat nor sharp."""
    folder = tmp_path_factory.mktemp("source")
    torch.manual_seed(0)
    shape = presets.Preset(width=16, layers=2, heads=2, mlp=32)
    model = presets.build(shape, vocabulary=len(tokenizer), max_length=64, tokenizer=tokenizer)
    assert sum(p.numel() for p in model.parameters()) < 8000
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def begins_from(source):
    return source


class Trained:
    """A loop of the stage, what it is given to train on, and what its optimizer was given."""

    def __init__(self, context, source, values):
        self.loop = Loop(OnPolicySettings(**values), context)
        self.reference = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)
        self.played = []  # by step, lists of episodes
        self.gradients, self.rates = [], []  # by optimizer step

    @property
    def policy(self):
        return self.loop.policy.model

    @property
    def trunk(self):
        critic = self.loop.policy.critic
        return None if critic is None else critic.trunk

    @property
    def head(self):
        """Weight and bias of the critic's head, if there is a critic."""
        holder = self.loop.policy.critic or self.loop.policy.trained
        return list(holder.head.parameters()) if hasattr(holder, "head") else []

    def named_parameters(self):
        yield from ((f"policy.{n}", p) for n, p in self.policy.named_parameters())
        if self.trunk is not None:
            yield from ((f"trunk.{n}", p) for n, p in self.trunk.named_parameters())
        yield from ((f"head.{n}", p) for n, p in zip(("weight", "bias"), self.head, strict=False))

    def move(self, scale):
        """Take all weights away from where the stage begins, so that nothing is 0 by chance."""
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for _, p in self.named_parameters():
                p += scale * torch.randn(p.shape, generator=generator)

    def weights(self):
        return {name: p.detach().clone() for name, p in self.named_parameters()}

    @contextlib.contextmanager
    def recorded(self):
        """Keep the gradients and the learning rates of every optimizer step."""

        def keep(optimizer, args, kwargs):
            self.gradients.append(
                {
                    n: torch.zeros_like(p) if p.grad is None else p.grad.clone()
                    for n, p in self.named_parameters()
                }
            )
            rate = {id(p): g["lr"] for g in optimizer.param_groups for p in g["params"]}
            self.rates.append({n: rate[id(p)] for n, p in self.named_parameters() if id(p) in rate})

        hook = register_optimizer_step_pre_hook(keep)
        yield
        hook.remove()


@pytest.fixture
def train(context, source, monkeypatch):
    """Make a loop whose rollouts are made by hand, near its policy."""

    def made(rollouts=crafted, **values):
        trained = Trained(context, source, values)
        trained.move(0.07)

        def play(pool, engine, chat, tasks, *, samples, sampling, **_):
            if samples == 1:  # held-out tasks
                return []
            played = rollouts(trained.policy, tasks, samples, sampling, seed=len(trained.played))
            trained.played.append([[seen(t) for t in g.trajectories] for g in played])
            return played

        monkeypatch.setattr(worker, "play", play)
        return trained

    return made
