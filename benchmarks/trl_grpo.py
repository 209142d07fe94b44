"""rlenv's grpo stage against `trl.GRPOTrainer`, from the same checkpoint.

    python benchmarks/trl_grpo.py                 # everything, one thread, some minutes
    python benchmarks/trl_grpo.py --only step     # one of: arithmetic, turns, step
    python benchmarks/trl_grpo.py --profile       # and where the time goes, operation by operation

Three contests, every side in a process of its own, so that the peak of its memory is its own:
wall-clock to the same pass@1 on held-out sums, against TRL's own generation; the same on an
environment of several turns, against a `rollout_func` that calls `transformers.generate` at each
turn; and one optimizer step on the same tokens. Batches and hyper-parameters are equal. Prints a
table, and writes JSON.

On one thread `--clock cpu` counts the processor's time, which is the wall clock's where nothing
else runs, and stays nearly the same where something does; the shares of the phases are always the
wall clock's.
"""

from __future__ import annotations

import json
import statistics
import tempfile
from argparse import Namespace
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import harness
import runs
import torch
import transformers
import trl_contestants
import trl_step

Figures = dict[str, Any]

GUESS = f"{Path(__file__).resolve().with_name('guessing_env.py')}:bench/Guess-v0"
WANTED = {"arithmetic": 2.0, "turns": 4.0, "step": 1.5}  # times faster
QUIET = {
    "OMP_WAIT_POLICY": "PASSIVE",
    "TOKENIZERS_PARALLELISM": "false",
    "TRL_EXPERIMENTAL_SILENCE": "1",
    "PYTHONWARNINGS": "ignore",
}

SFT = {"batch_size": 256, "learning_rate": 3e-3, "schedule": "constant", "eval_every": 10}
STARTS: dict[str, dict[str, Any]] = {
    "arithmetic": {
        "env": "rlenv/Arithmetic-v0",
        "stages": {
            "tokenizer": {"corpus": ["tasks"], "max_length": 128},
            "pretrain": {"corpus": ["tasks"], "steps": 60, "length": 64},
            "sft": {**SFT, "demonstrations": 128_000, "max_tokens": 8, "stop_at": 0.3},
        },
    },
    "turns": {
        "env": {"id": GUESS, "history": 5},
        "stages": {
            "tokenizer": {"corpus": ["tasks"], "max_length": 256},
            "pretrain": {"corpus": ["tasks"], "steps": 60, "length": 64},
            "sft": {**SFT, "demonstrations": 40_000, "max_tokens": 4},
        },
    },
}
CONTESTS: dict[str, dict[str, Any]] = {
    "arithmetic": {
        "env": "rlenv/Arithmetic-v0",
        "target": 0.6,
        "turns": False,
        "groups": 128,
        "group_size": 8,
        "max_tokens": 8,
        "learning_rate": 2e-3,
        "steps": 300,
        "eval_every": 10,
    },
    "turns": {
        "env": GUESS,
        "target": 0.55,
        "turns": True,
        "groups": 32,
        "group_size": 16,
        "max_tokens": 4,
        "learning_rate": 3e-4,
        "steps": 80,
        "eval_every": 5,
    },
}


def main() -> None:
    """Run the contests and print the table."""
    out = Path("trl_grpo.json")
    parser = harness.parser(__doc__, rounds=1, threads=1, clock="wall", json=out, child=None)
    parser.add_argument("--only", choices=list(WANTED))
    parser.add_argument("--preset", default="micro", help="the model of the optimizer step")
    parser.add_argument("--steps", type=int, help="give a contest up after so many")
    parser.add_argument("--profile", action="store_true", help="show where the time goes")
    parser.add_argument("--work", type=Path, help="keep checkpoints and runs in this folder")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    if asked.child is not None:
        name, side = asked.child
        child(name, side, asked)
        return
    print(harness.conditions(libraries=("torch", "trl"), threads=asked.threads, clock=asked.clock))
    figures: dict[str, dict[str, list[Figures]]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        asked.work = (asked.work or Path(temporary)).resolve()
        for name in [asked.only] if asked.only else WANTED:
            start(name, asked)
            sides = {side: partial(call, name, side, asked) for side in ("rlenv", "trl")}
            figures[name] = harness.take_turns(sides, asked.rounds)
            show(name, figures[name])
    harness.write_json(asked.json, figures)
    print(f"\nall figures are in {asked.json}")


def start(name: str, asked: Namespace) -> None:
    """Make the checkpoint that both sides begin with, unless it is there."""
    if name == "step":
        trl_step.make_checkpoint(asked.work / "step", asked.preset)
    else:
        runs.train(asked.work / f"{name}-start", **STARTS[name], threads=asked.threads)


def call(name: str, side: str, asked: Namespace) -> Figures:
    """Let one side do its part in a process of its own; return its figures."""
    print(f"{name}, {side}", flush=True)
    options = ["--work", str(asked.work), "--threads", str(asked.threads), "--clock", asked.clock]
    options += ["--profile"] if asked.profile else []
    options += ["--steps", str(asked.steps)] if asked.steps else []
    env = {**QUIET, "OMP_NUM_THREADS": str(asked.threads)}
    found, said = harness.in_child(__file__, [name, side], *options, env=env)
    if asked.profile:
        print(said)
    return dict(found)


def child(name: str, side: str, asked: Namespace) -> None:
    """Do one side's part; its figures are the last line of the output."""
    # what both sides need is imported before any clock runs
    from datasets import Dataset  # noqa: F401
    from trl import GRPOTrainer  # noqa: F401

    import rlenv.trainers.rl.stage  # noqa: F401

    transformers.utils.logging.set_verbosity_error()
    now = harness.CLOCKS[asked.clock]
    run: Callable[[], Figures]
    if name == "step":
        steps = {"rlenv": trl_step.rlenv_step, "trl": trl_step.trl_step}
        run = partial(steps[side], asked.work / "step", now)
    else:
        settings = {**CONTESTS[name], **({"steps": asked.steps} if asked.steps else {})}
        checkpoint = str(asked.work / f"{name}-start" / "sft")
        contest = trl_contestants.Contest(name=name, checkpoint=checkpoint, now=now, **settings)
        sides = {"rlenv": trl_contestants.rlenv_side, "trl": trl_contestants.trl_side}
        run = partial(sides[side], contest, Path(tempfile.mkdtemp(dir=asked.work)))
    before = harness.peak_memory()
    found = harness.profiled(run, f"{name}, {side}") if asked.profile else run()
    memory = {"peak_mib": harness.peak_memory(), "imports_mib": before}
    print(json.dumps({**found, **memory}))


def show(name: str, sides: dict[str, list[Figures]]) -> None:
    """Print what was measured in a contest, and the ratio round by round."""
    print(f"\n{name}")
    for side, rounds in sides.items():
        print("  " + "   ".join([f"{side:<6}", *describe(rounds)]))
    spent = {
        side: [f.get("median", f.get("seconds_to_target")) for f in rounds]
        for side, rounds in sides.items()
    }
    ratios = [
        (theirs or 0.0) / (ours or 1.0)
        for ours, theirs in zip(spent["rlenv"], spent["trl"], strict=True)
    ]
    missed = any(seconds is None for rounds in spent.values() for seconds in rounds)
    print(
        f"  rlenv is {harness.Spread.of(ratios):.2f} times faster (wanted: "
        f"{WANTED[name]:g}){', but a target was missed' if missed else ''}"
    )


def describe(rounds: list[Figures]) -> list[str]:
    """Return the figures of one side, medians over the rounds."""
    peaks = statistics.median(r["peak_mib"] for r in rounds)
    memory = f"peak {peaks:,.0f} MiB ({peaks - rounds[0]['imports_mib']:,.0f} over imports)"
    if "median" in rounds[0]:
        middle = statistics.median(r["median"] for r in rounds)
        return [f"{middle * 1000:8.0f} ms a step", f"loss {rounds[0]['loss']:.6f}", memory]
    reached = [r["seconds_to_target"] for r in rounds if r["seconds_to_target"] is not None]
    until = f"{statistics.median(reached):7.1f} s" if reached else "   never"
    middle = statistics.median(r["seconds_per_step"] for r in rounds)
    last = rounds[-1]
    whole = sum(last["phases"].values()) or 1.0
    shares = ", ".join(f"{part} {spent / whole:.0%}" for part, spent in last["phases"].items())
    return [
        f"{until} to pass@1 {last['pass_at_1']:.3f} in {last['steps']} steps",
        f"{middle * 1000:.0f} ms a step ({shares})",
        memory,
    ]


if __name__ == "__main__":
    main()
