"""An algorithm of one's own, whole: a function from rewards to advantages.

    python examples/algorithm.py                               # look at what it does
    python -m rlenv.train configs/quickstart.yaml grpo.algorithm=examples/algorithm.py:rank

What it leaves out is GRPO's: the clipped surrogate, and a mean over replies.
"""

import torch

from rlenv.trainers.rl import group_normalised, register_advantages


@register_advantages("rank", clip_high=0.28)  # and settings of the stage that it wants otherwise
def rank(rewards, mask):
    """Say how many of its group a rollout beat, less how many beat it, as a share of the others.

    Advantages are then in [-1, 1] however rewards are scaled, and one outlier weighs no more than
    any other win.

    Args:
        rewards: (P, G), one row a task, one column a rollout.
        mask: (P, G), 0 where a grader failed: such a rollout beats none and is beaten by none.

    Returns:
        Advantages (P, G); 0 throughout a group whose rewards are all equal.
    """
    both = mask[:, :, None] * mask[:, None, :]  # (P, G, G)
    wins = (rewards[:, :, None] - rewards[:, None, :]).sign() * both
    return wins.sum(2) / (mask.sum(1, keepdim=True) - 1).clamp(min=1)


def main():
    """Compare it with GRPO's, in hundredths, on two groups, one of which has an outlier."""
    rewards = torch.tensor([[0.0, 0.1, 0.2, 9.0], [1.0, 0.0, 0.0, 0.0]])
    mask = torch.tensor([[1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 0.0]])  # the last was not judged
    for name, function in (("rank", rank), ("grpo", group_normalised)):
        print(name, *(f"{row}" for row in (function(rewards, mask) * 100).round().int().tolist()))


if __name__ == "__main__":
    main()
