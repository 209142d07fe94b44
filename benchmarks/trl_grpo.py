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

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
GUESS = f"{HERE / 'guessing_env.py'}:bench/Guess-v0"
WANTED = {"arithmetic": 2.0, "turns": 4.0, "step": 1.5}  # times faster
SIDES = ("rlenv", "trl")
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}

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
    arguments = parse()
    if arguments.child is not None:
        child(*arguments.child.split(":"), Path(arguments.work), arguments)
        return
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(arguments.work or temporary)
        names = [n for n in WANTED if arguments.only in (None, n)]
        figures: dict[str, Any] = {}
        for name in names:
            call(f"{name}:start", work, arguments)
            for number in range(arguments.rounds):
                for side in SIDES:
                    print(f"{name}, {side}, round {number + 1} of {arguments.rounds}", flush=True)
                    found = call(f"{name}:{side}", work, arguments)
                    figures.setdefault(name, {}).setdefault(side, []).append(found)
    load = ", ".join(f"{n:.1f}" for n in os.getloadavg())
    print(f"\n{arguments.threads} thread(s), {arguments.clock} clock, load average {load}")
    show(figures)
    Path(arguments.json).write_text(json.dumps(figures, indent=1))
    print(f"\nall figures are in {arguments.json}")


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", choices=list(WANTED))
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--preset", default="micro", help="the model of the optimizer step")
    parser.add_argument("--clock", default="wall", choices=list(CLOCKS))
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--work", help="keep checkpoints and runs in this folder")
    parser.add_argument("--json", default="trl_grpo.json")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    return parser.parse_args()


def call(what: str, work: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Do one thing in a process of its own and return what it found."""
    command = [sys.executable, str(Path(__file__).resolve()), "--child", what, "--work", str(work)]
    command += ["--threads", str(arguments.threads), "--preset", arguments.preset]
    command += ["--clock", arguments.clock]
    command += ["--profile"] if arguments.profile else []
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        "OMP_NUM_THREADS": str(arguments.threads),
        "OMP_WAIT_POLICY": "PASSIVE",
        "TOKENIZERS_PARALLELISM": "false",
        "TRL_EXPERIMENTAL_SILENCE": "1",
        "PYTHONWARNINGS": "ignore",
    }
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    *said, last = done.stdout.strip().splitlines()
    if arguments.profile:
        print("\n".join(said))
    return json.loads(last)


def child(name: str, side: str, work: Path, arguments: argparse.Namespace) -> None:
    """Do one thing; its figures are the last line of the output."""
    import torch
    import transformers

    torch.set_num_threads(arguments.threads)
    transformers.utils.logging.set_verbosity_error()
    if side == "start":
        start(name, work, arguments)
        print("{}")
        return
    if name == "step":
        import trl_step

        take = {"rlenv": trl_step.rlenv_step, "trl": trl_step.trl_step}[side]
        run = lambda: take(work / "step", CLOCKS[arguments.clock])  # noqa: E731
    else:
        import trl_contestants

        contest = trl_contestants.Contest(
            name=name,
            checkpoint=str(work / f"{name}-start" / "sft"),
            now=CLOCKS[arguments.clock],
            **CONTESTS[name],
        )
        take_side = {"rlenv": trl_contestants.rlenv_side, "trl": trl_contestants.trl_side}[side]
        folder = Path(tempfile.mkdtemp(dir=work))
        run = lambda: take_side(contest, folder)  # noqa: E731
    load()
    before = peak()
    found = profiled(run, f"{name}, {side}") if arguments.profile else run()
    print(json.dumps({**found, "peak_mib": peak(), "imports_mib": before}))


def start(name: str, work: Path, arguments: argparse.Namespace) -> None:
    """Make the checkpoint that both sides begin with, unless it is there."""
    if name == "step":
        import trl_step

        trl_step.make_checkpoint(work / "step", arguments.preset)
        return
    from rich.console import Console

    from rlenv.common.display import Display
    from rlenv.run import config
    from rlenv.runner import runner
    from rlenv.trainers import stage_class

    raw = {**STARTS[name], "threads": arguments.threads, "run_dir": str(work / f"{name}-start")}
    settings = config.parse_run(raw, "benchmark")
    planned = runner.check(settings, "benchmark", stage_class)
    runner.run(settings, planned, Display(Console(quiet=True)))


def load() -> None:
    """Import what both sides need, before any clock runs."""
    from datasets import Dataset  # noqa: F401
    from trl import GRPOTrainer  # noqa: F401

    import rlenv.trainers.rl.stage  # noqa: F401


def peak() -> float:
    """Return the most memory this process has held, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def profiled(run: Any, title: str) -> dict[str, Any]:
    """Run under torch's profiler and print the operations that take longest."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        found = run()
    print(f"\n{title}: operations by the time spent in themselves")
    print(profiler.key_averages().table(sort_by="self_cpu_time_total", row_limit=15))
    return found


def show(figures: dict[str, Any]) -> None:
    """Print what was measured, and the ratios round by round."""
    for name, sides in figures.items():
        print(f"\n{name}")
        for side in SIDES:
            print("  " + "   ".join([f"{side:<6}", *describe(sides[side])]))
        pairs = zip(sides["rlenv"], sides["trl"], strict=True)
        ratios = [(seconds(b) or 0.0) / (seconds(a) or 1.0) for a, b in pairs]
        missed = any(seconds(f) is None for side in SIDES for f in sides[side])
        print(
            f"  rlenv is {statistics.median(ratios):.2f} times faster (wanted: "
            f"{WANTED[name]:g}){', but a target was missed' if missed else ''}"
        )


def seconds(found: dict[str, Any]) -> float | None:
    """Return what a contest is about."""
    return found["median"] if "median" in found else found["seconds_to_target"]


def describe(rounds: list[dict[str, Any]]) -> list[str]:
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
