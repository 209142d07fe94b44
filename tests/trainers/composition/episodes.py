"""Rollouts made by hand: of several turns, cut off, without a verdict, from another sampler."""

import random

import torch

from rlenv.core.reward import Reward
from rlenv.core.trajectory import Group, Trajectory

from .plain import Episode

LUCKY = 7.0  # what an episode without a verdict seemed to earn


def seen(trajectory):
    """A trajectory as the plain trainer takes it."""
    starts = []
    for end in trajectory.turn_ends:
        start = end
        while start and trajectory.loss_mask[start - 1] and start not in starts:
            start -= 1
        starts.append(start)
    turns = list(zip(starts, trajectory.turn_ends, strict=True))
    return Episode(
        tokens=list(trajectory.token_ids),
        turns=turns,
        sampled=[trajectory.logprobs[at] for start, end in turns for at in range(start, end)],
        rewards=list(trajectory.turn_rewards),
        judged=trajectory.reward.status != "grader_error",
        truncated=trajectory.truncated,
    )


@torch.no_grad()
def crafted(policy, tasks, samples, sampling, *, seed, ungraded=True, silent=False):
    """Groups whose prompts and replies are random, and whose logprobs are nearly the policy's.

    In the first group one rollout has no verdict, in the second all rewards are equal, in the third
    one rollout is cut off and another has a single token; in the last nothing is odd.
    silent: the sampler tells no logprob of some tokens.
    """
    rng = random.Random(seed)
    generator = torch.Generator().manual_seed(seed)
    vocabulary = policy.config.vocab_size

    def words(count):
        return [rng.randrange(8, vocabulary) for _ in range(count)]

    groups = []
    for number, task in enumerate(tasks):
        prompt, group = words(rng.randint(6, 14)), []
        for sample in range(samples):
            cut = number % 4 == 2 and sample == 1
            lengths = [rng.randint(1, 5) for _ in range(rng.randint(1, 2))]
            lengths = (
                [sampling.max_tokens] if cut else [1] if (number, sample) == (2, 2) else lengths
            )
            ids, mask, ends = list(prompt), [0] * len(prompt), []
            for turn, length in enumerate(lengths):
                said = words(rng.randint(1, 3)) if turn else []
                ids += [*said, *words(length)]
                mask += [0] * len(said) + [1] * length
                ends.append(len(ids))
            logits = policy(input_ids=torch.tensor([ids])).logits[0, :-1]
            told = torch.log_softmax(logits / sampling.temperature, -1)
            told = told[torch.arange(len(ids) - 1), torch.tensor(ids[1:])]
            told = [0.0, *(told + 0.25 * torch.randn(told.shape, generator=generator)).tolist()]
            if silent:
                told = [float("nan") if rng.random() < 0.2 else value for value in told]
            failed = ungraded and number % 4 == 0 and sample == 1
            earned = [rng.choice([0.0, 0.25, 0.5, 1.0]) for _ in ends]
            if number % 4 == 1:  # whatever the number of turns, as much
                earned = [0.0] * (len(ends) - 1) + [0.5]
                ids, mask, told, ends = _one_turn(ids, mask, told, ends)
                earned = [0.5]
            if failed:
                earned = [LUCKY] * len(ends)
            group.append(
                Trajectory(
                    task,
                    ids,
                    mask,
                    [value if on else 0.0 for value, on in zip(told, mask, strict=True)],
                    turn_ends=ends,
                    turn_rewards=earned,
                    reward=Reward.failed("no verdict") if failed else Reward(sum(earned)),
                    truncated=cut,
                )
            )
        groups.append(Group(task, group))
    return groups


def _one_turn(ids, mask, told, ends):
    end = ends[0]
    return ids[:end], mask[:end], told[:end], [end]
