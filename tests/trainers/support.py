"""Random batches, and trajectories that nobody sampled."""

import random

import torch

import rlenv
from rlenv import Task, Trajectory
from rlenv.core.reward import Reward
from rlenv.trainers.rl.settings import OnPolicySettings

SETTINGS = OnPolicySettings(
    steps=3, groups=6, group_size=4, max_tokens=4, eval_every=1, eval_tasks=20, learning_rate=1e-2
)


def random_inputs(seed=0, rows=6, length=9):
    """Random logprobs, old logprobs, advantages and mask, each (rows, length)."""
    generator = torch.Generator().manual_seed(seed)
    logprobs = -torch.rand(rows, length, generator=generator) * 3
    old = logprobs + 0.4 * torch.randn(rows, length, generator=generator)
    mask = (torch.rand(rows, length, generator=generator) > 0.4).float()
    mask[:, -1] = 1
    advantages = torch.randn(rows, 1, generator=generator) * mask
    return logprobs, old, advantages, mask


def trajectory(prompt, turns, rewards=None, *, key="x", said=(), judged=True, truncated=False):
    """A trajectory of given tokens.

    prompt: token ids. turns: the policy's token ids, one list a turn. said: what the environment
    says between them.
    """
    ids, mask, ends = list(prompt), [0] * len(prompt), []
    for number, turn in enumerate(turns):
        if number:
            between = list(said[number - 1]) if said else [9]
            ids += between
            mask += [0] * len(between)
        ids += turn
        mask += [1] * len(turn)
        ends.append(len(ids))
    earned = list(rewards or [0.0] * len(turns))
    return Trajectory(
        Task(key),
        ids,
        mask,
        [-1.0 * m for m in mask],
        turn_ends=ends,
        turn_rewards=earned,
        reward=Reward(sum(earned)) if judged else Reward.failed("no verdict"),
        truncated=truncated,
    )


def trajectories(count, vocabulary, seed=0):
    """Trajectories of one turn, each with a prompt of its own."""
    rng = random.Random(seed)

    def words(most):
        return [rng.randrange(8, vocabulary) for _ in range(rng.randint(1, most))]

    return [trajectory(words(6), [words(5)]) for _ in range(count)]


def grouped(vocabulary, seed=0):
    """Trajectories of three groups, some with a second turn, in shuffled order."""
    rng = random.Random(seed)

    def words(low, high):
        return [rng.randrange(8, vocabulary) for _ in range(rng.randint(low, high))]

    made = []
    for _ in range(3):
        prompt = words(3, 9)
        for _ in range(rng.randint(1, 6)):
            turns = [words(1, 4) for _ in range(rng.randint(1, 2))]
            made.append(trajectory(prompt, turns, said=[words(1, 3)]))
    rng.shuffle(made)
    return made


def hash_of(text):
    return sum(ord(c) * 31**n for n, c in enumerate(text)) % 997 / 997


class Numbers(rlenv.SingleTurnEnv):
    """Each task is a number."""

    def generate(self, rng):
        return rlenv.Task(f"{rng.randrange(1000)} + 1 = ?", metadata={"luck": rng.random()})

    def score(self, task, reply):
        return 0.0


class Varied(Numbers):
    """Rewards each reply differently."""

    def score(self, task, reply):
        return hash_of(reply)
