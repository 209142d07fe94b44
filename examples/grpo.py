"""GRPO, whole: a policy plays, its replies are compared with each other, and the better ones become
likelier (Shao et al. 2024, "DeepSeekMath", section 4.1).

    python examples/grpo.py runs/quickstart/sft --output runs/grpo-by-hand

It begins with the checkpoint that the quickstart leaves after fine-tuning, which solves about a
third of held-out sums, and ends where the quickstart's own `grpo` stage does. That stage is this
loop and what a long run needs besides: checkpoints to go on from, several GPUs, a critic, KL,
monitors.
"""

import argparse
import json
from pathlib import Path

import torch

import rlenv

GROUPS, GROUP_SIZE = 128, 8  # tasks a step, and rollouts of each
MAX_TOKENS = 8  # of a reply: a sum below 200 and the token that ends it
LEARNING_RATE, WARMUP = 2e-3, 5
CLIP = 0.2


def group_advantages(rewards, judged):
    """Say how much better each rollout was than the others of its group, in standard deviations.

    No value function is needed: the rollouts of a group began alike, so their mean is what was to
    be expected there (section 4.1.2).

    Args:
        rewards: (P, G), a row a task, a column a rollout.
        judged: (P, G), 0 where a grader failed: such a rollout must not move the others.

    Returns:
        Advantages (P, G). Where all rewards of a group are equal there is nothing to learn from
        them, and they are 0.
    """
    count = judged.sum(1, keepdim=True)
    mean = (rewards * judged).sum(1, keepdim=True) / count.clamp(min=1)
    above = (rewards - mean) * judged
    deviation = ((above**2).sum(1, keepdim=True) / (count - 1).clamp(min=1)).sqrt()
    return above / (deviation + 1e-4)


def surrogate_loss(logprobs, batch):
    """Return what is to go down: the clipped surrogate of each sampled token (eq. 3), averaged.

    Every tensor is (B, T), a row a rollout, aligned with its tokens. The ratio says how much
    likelier a token has become since it was sampled. Raising it pays as long as it is below
    1 + CLIP where the advantage is positive, lowering it as long as it is above 1 - CLIP where that
    is negative: a policy that has moved further away is judged by samples that are no longer its
    own. In a loop of one step a batch, like this one, the ratio is 1 and its gradient does the
    work.
    """
    ratio = torch.exp(logprobs - batch.old_logprobs)
    clipped = ratio.clamp(1 - CLIP, 1 + CLIP)
    gain = torch.minimum(ratio * batch.advantages, clipped * batch.advantages)
    # prompts and padding count for nothing; each reply counts the same, however long
    of_reply = (gain * batch.mask).sum(1) / batch.mask.sum(1)
    return -of_reply.mean()


def main():
    """Train, and compare before and after on sums that were never trained on."""
    parser = argparse.ArgumentParser(description="GRPO on sums, in one file.")
    parser.add_argument("checkpoint", help="such as runs/quickstart/sft")
    parser.add_argument("--steps", type=int, default=250)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tasks", type=int, default=500, help="held-out ones (default: 500)")
    parser.add_argument("--output", type=Path, help="folder for the checkpoint and its figures")
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # the fastest for a model this small

    policy = rlenv.Policy.load(arguments.checkpoint, learning_rate=LEARNING_RATE)
    # Which tasks are held out follows from their content, so no split ever leaks into another.
    train = rlenv.make("rlenv/Arithmetic-v0", split="train")
    test = rlenv.make("rlenv/Arithmetic-v0", split="test")
    before = rlenv.evaluate(policy, test, tasks=arguments.tasks, samples=4, max_tokens=MAX_TOKENS)
    print(f"before: {before.summary.pass_at_1} of held-out sums", flush=True)

    for step in range(arguments.steps):
        # 1. Tasks. `for_training` refuses a held-out split.
        seed = arguments.seed * 10**6 + step
        tasks = train.tasks.for_training().sample_many(GROUPS, seed=seed)

        # 2. Rollouts: whole episodes, as the tokens that were sampled. They are never re-tokenized,
        #    so that the loss is about exactly what the policy did.
        groups = rlenv.rollout(
            policy, train, tasks, group_size=GROUP_SIZE, seed=seed, max_tokens=MAX_TOKENS
        )

        # 3. Advantages. The environment's verifier gives the rewards: 1 for the right number.
        rewards, judged = rlenv.group_rewards(groups)
        advantages = group_advantages(rewards, judged)
        mean_reward = float((rewards * judged).sum() / judged.sum())
        if not advantages.any():
            print(f"step {step + 1}: every group agrees, there is nothing to learn")
            continue

        # 4. Loss. The batch leaves out groups that agree, and rollouts that could not be judged.
        batch = rlenv.Batch.of_groups(groups, advantages)
        loss = surrogate_loss(policy.logprobs(batch), batch)

        # 5. Step: AdamW, with a short warmup and a rate that falls to zero. The next rollouts come
        #    from the new weights, so every batch is on-policy.
        falling = (arguments.steps - step) / arguments.steps
        rate = LEARNING_RATE * min(falling, (step + 1) / (WARMUP + 1))
        policy.step(loss, learning_rate=rate)

        if step % 10 == 0:
            reply = groups[0].trajectories[0]
            shown = f"{tasks[0].question} -> {reply.reply} ({reply.reward.value:g})"
            print(f"step {step + 1:>3}  reward {mean_reward:.2f}  {shown}", flush=True)

    # 6. Evaluation, with an interval: what a change is worth is seen only beside its error.
    after = rlenv.evaluate(policy, test, tasks=arguments.tasks, samples=4, max_tokens=MAX_TOKENS)
    gain = 100 * (after.summary.pass_at_1.value - before.summary.pass_at_1.value)
    print(f"after:  {after.summary.pass_at_1} of held-out sums, {gain:+.0f} points")
    if arguments.output is not None:
        policy.save(arguments.output)
        figures = {"before": before.row(), "after": after.row()}
        (arguments.output / "results.json").write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
