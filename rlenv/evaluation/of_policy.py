"""Evaluating a policy that is at hand, in one call."""

from __future__ import annotations

from rlenv.core.env import TextEnv
from rlenv.engines.base import Sampling
from rlenv.evaluation.players import LocalPlayer
from rlenv.evaluation.run import Evaluation
from rlenv.evaluation.run import evaluate as evaluate_player
from rlenv.rollouts.rollout import Playing, pool_of


def evaluate(
    policy: Playing,
    env: TextEnv,
    *,
    tasks: int = 500,
    samples: int = 4,
    temperature: float = 1.0,
    max_tokens: int = 256,
    greedy: bool = True,
    seed: int = 0,
) -> Evaluation:
    """Evaluate a policy on the first different tasks of an environment's split.

    The figures are those of `rlenv eval` and of a run's own evaluation, for the same seed.

    Args:
        policy: who plays, such as `rlenv.Policy.load("runs/quickstart/sft")`.
        env: where, of the split to evaluate on: `rlenv.make("rlenv/Arithmetic-v0", split="test")`.
        tasks: how many; fewer are used where the split holds fewer.
        samples: of each task, at `temperature`.
        temperature: to sample with.
        max_tokens: of a reply.
        greedy: make one reply a task at temperature 0 as well.
        seed: of the environments and of the sampling.

    Returns:
        The figures with their intervals, and every sample.

    Raises:
        RunFailed: the grader could judge no sample at all.

    Example:
        >>> test = rlenv.make("rlenv/Arithmetic-v0", split="test")
        >>> found = rlenv.evaluate(policy, test, tasks=500, samples=4, max_tokens=8)
        >>> print(found.summary.pass_at_1)
        0.32 [0.29, 0.35]
        >>> wrong = [sample for sample in found.sampled if not sample.solved]
    """
    return evaluate_player(
        pool_of(env),
        LocalPlayer(policy.engine, policy.chat, policy.max_length),
        tasks=tasks,
        samples=samples,
        sampling=Sampling(temperature=temperature, max_tokens=max_tokens),
        seed=seed,
        greedy=greedy,
    )
