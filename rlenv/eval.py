"""Evaluate a checkpoint on the held-out tasks of an environment.

python -m rlenv.eval runs/quickstart/grpo rlenv/Arithmetic-v0 --split test
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from rlenv.errors import UserError, main_guard


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    made = argparse.ArgumentParser(
        prog="python -m rlenv.eval",
        description="Evaluate a checkpoint on held-out tasks: pass@1 with its 95% confidence "
        "interval, greedy accuracy, truncation and grader-error rates.",
    )
    made.add_argument("checkpoint", help="a checkpoint folder or hub id")
    made.add_argument("env", help="an environment id, or file.py:Id")
    made.add_argument("--split", default="test", help="validation or test (default: test)")
    made.add_argument("--tasks", type=int, default=500, help="different tasks (default: 500)")
    made.add_argument("--samples", type=int, default=4, help="samples a task (default: 4)")
    made.add_argument("--temperature", type=float, default=1.0, help="(default: 1.0)")
    made.add_argument("--max-tokens", type=int, default=256, help="of a reply (default: 256)")
    made.add_argument("--seed", type=int, default=0, help="of the sampling (default: 0)")
    made.add_argument("--batch", type=int, default=512, help="episodes at once (default: 512)")
    made.add_argument("--device", default="auto", help="cpu, cuda or auto (default)")
    made.add_argument("--threads", type=int, default=None, help="CPU threads for torch")
    made.add_argument("--json", action="store_true", help="print the result as JSON alone")
    made.add_argument("--output", metavar="FILE", help="write the result and all samples as JSON")
    made.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="key=value",
        help="an option of the environment, such as level=2; may be repeated",
    )
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    arguments = parser().parse_args(argv)
    return main_guard(lambda: _evaluate(arguments))


def _evaluate(arguments: argparse.Namespace) -> None:
    import json
    from pathlib import Path

    from rlenv import registry
    from rlenv.browse import read_options
    from rlenv.task import check_split

    if check_split(arguments.split) == "train":
        raise UserError("an evaluation needs held-out tasks; use --split validation or test")
    for name in ("tasks", "samples", "max_tokens", "batch"):
        if getattr(arguments, name) < 1:
            raise UserError(f"--{name.replace('_', '-')} is at least 1")
    if arguments.temperature <= 0:
        raise UserError("--temperature is above 0; a greedy reply is evaluated anyway")
    options = read_options(arguments.option)
    spec = registry.spec(arguments.env)
    spec.make(split=arguments.split, **options)
    if arguments.output is not None and not Path(arguments.output).absolute().parent.is_dir():
        raise UserError(f"the folder of {arguments.output} does not exist")
    from rlenv.stage import local_checkpoint

    local_checkpoint(arguments.checkpoint, needs_chat=True)

    import torch

    from rlenv.chat import ChatFormat
    from rlenv.display import Display, quieten_transformers
    from rlenv.engines.base import Sampling
    from rlenv.evaluation import evaluate
    from rlenv.models import checkpoint
    from rlenv.results import as_json
    from rlenv.rollout import EnvPool
    from rlenv.run_folder import write_atomically

    quieten_transformers()
    if arguments.threads is not None:
        torch.set_num_threads(max(1, arguments.threads))
    model, tokenizer = checkpoint.load(arguments.checkpoint, device=arguments.device)
    chat = ChatFormat(tokenizer, arguments.checkpoint)
    display = Display()
    if not arguments.json:
        display.begin("evaluate", arguments.tasks * (arguments.samples + 1))
    try:
        result = evaluate(
            EnvPool(lambda: spec.make(split=arguments.split, **options)),
            checkpoint.engine_for(model, chat),
            chat,
            tasks=arguments.tasks,
            samples=arguments.samples,
            sampling=Sampling(temperature=arguments.temperature, max_tokens=arguments.max_tokens),
            seed=arguments.seed,
            max_length=checkpoint.context_length(model, tokenizer),
            batch=arguments.batch,
            progress=lambda done, total: None if arguments.json else display.update(done, {}),
        )
    finally:
        display.end()
    named = {
        "checkpoint": arguments.checkpoint,
        "env": spec.id,
        "split": arguments.split,
        "temperature": arguments.temperature,
        "seed": arguments.seed,
        **result.row(),
    }
    if arguments.output is not None:
        whole = {**as_json(result), "summary": named}
        write_atomically(Path(arguments.output), json.dumps(whole, ensure_ascii=False, indent=1))
    if arguments.json:
        print(json.dumps(named))  # noqa: T201
        return
    display.say(
        f"\n{spec.id}, {arguments.split} split, {result.tasks} tasks x {result.samples} samples "
        f"at temperature {arguments.temperature:g}"
    )
    estimate = result.pass_at_1
    display.table(
        ["", ""],
        [
            [
                "pass@1",
                f"{estimate.value:.3f}   95% interval {estimate.low:.3f} to {estimate.high:.3f}",
            ],
            ["greedy", f"{result.greedy:.3f}"],
            ["mean reward", f"{result.mean_reward:.3f}"],
            ["truncated", f"{result.truncated:.1%}"],
            ["unparseable", f"{result.unparseable:.1%}"],
            ["grader errors", f"{result.grader_errors:.1%}"],
            ["tokens sampled", f"{result.tokens:,}"],
            ["task set", result.fingerprint],
        ],
    )


if __name__ == "__main__":
    sys.exit(main())
