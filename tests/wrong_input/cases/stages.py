"""Configs of one stage each, which begins from the finished run's model and is over in a second."""

from tests.wrong_input.harness import Case

_TOP = "{run_dir: $here/out, env: '$digits', threads: 1, stages: {%s}%s}"
_FROM = ", model: $model"

CONFIGS = {
    "tokenizer": _TOP % ("tokenizer: {corpus: [tasks], max_length: 64}", ""),
    "pretrain": _TOP
    % (
        "tokenizer: {corpus: [tasks], max_length: 64}, "
        "pretrain: {corpus: [tasks], tasks: 50, steps: 1, batch_size: 2, length: 16}",
        "",
    ),
    "extend": _TOP % ("extend: {corpus: [tasks], length: 128, steps: 1}", _FROM),
    "sft": _TOP % ("sft: {demonstrations: 8, batch_size: 4, eval_tasks: 2, max_tokens: 4}", _FROM),
    "rejection": _TOP
    % ("rejection: {rounds: 1, tasks: 2, samples: 2, eval_tasks: 2, max_tokens: 4}", _FROM),
    "reward": _TOP % ("reward: {data: {rows: $here/pairs.jsonl}}", _FROM),
    "dpo": _TOP % ("dpo: {data: {rows: $here/pairs.jsonl}}", _FROM),
    "kto": _TOP % ("kto: {data: {rows: $here/pairs.jsonl}}", _FROM),
    "revise": _TOP % ("revise: {}", _FROM),
    "merge": _TOP % ("merge: {models: {$model: 1}}", _FROM),
    "grpo": _TOP
    % (
        "grpo: {steps: 1, groups: 2, group_size: 2, max_tokens: 4, eval_tasks: 2, "
        "keep_episodes: 0}",
        _FROM,
    ),
    "ppo": _TOP
    % (
        "ppo: {steps: 1, groups: 2, group_size: 2, max_tokens: 4, eval_tasks: 2, keep_episodes: 0}",
        _FROM,
    ),
}


def stage(name: str, of: str, *overrides: str, says: str, code: int = 2, **more: object) -> Case:
    """Return a case of `rlenv train` with one stage.

    Args:
        name: of the case.
        of: the stage.
        overrides: `key=value` words of the command.
        says: see `Case`.
        code: see `Case`.
        **more: other attributes of `Case`.
    """
    files = {"run.yaml": CONFIGS[of], **more.pop("files", {})}
    return Case(name, ["train", "$here/run.yaml", *overrides], says, files, code, **more)


def config(name: str, text: str, *overrides: str, says: str, code: int = 2, **more: object) -> Case:
    """Return a case of `rlenv train` with a config of its own."""
    files = {"run.yaml": text, **more.pop("files", {})}
    return Case(name, ["train", "$here/run.yaml", *overrides], says, files, code, **more)
