"""Evaluate a checkpoint, look at what it gets wrong, and compare it with another one.

    python examples/evaluate.py runs/quickstart/grpo runs/quickstart/sft

`rlenv eval` and `rlenv compare` do the same and keep the results.
"""

import argparse

import torch

import rlenv


def main():
    """Evaluate one or two checkpoints on the same held-out sums."""
    parser = argparse.ArgumentParser(description="Evaluate checkpoints on held-out sums.")
    parser.add_argument("checkpoints", nargs="+", help="such as runs/quickstart/grpo")
    parser.add_argument("--tasks", type=int, default=200)
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # the fastest for a model this small

    # The test split: no trainer is ever given one of its tasks.
    env = rlenv.make("rlenv/Arithmetic-v0", split="test")
    rates = []
    for checkpoint in arguments.checkpoints:
        policy = rlenv.Policy.load(checkpoint)
        found = rlenv.evaluate(policy, env, tasks=arguments.tasks, samples=4, max_tokens=8)
        # Samples of one task resemble each other; the interval takes that into account.
        print(f"{checkpoint}: pass@1 {found.summary.pass_at_1}")
        wrong = [sample for sample in found.greedy if not sample.solved]
        for sample in wrong[:3]:
            print(f"  {sample.prompt} -> {sample.reply!r} ({sample.detail})")
        solved = {}
        for sample in found.sampled:
            solved.setdefault(sample.task_key, []).append(sample.solved)
        rates.append({task: sum(right) / len(right) for task, right in solved.items()})

    if len(rates) == 2:
        # Both played the same tasks, so what is compared is the difference on each of them: it
        # varies less than either figure, as hard tasks are hard for both.
        first, second = rates
        gaps = torch.tensor([first[task] - second[task] for task in first])
        error = gaps.std() / len(gaps) ** 0.5
        print(f"difference: {gaps.mean():+.3f}, standard error {error:.3f}")


if __name__ == "__main__":
    main()
