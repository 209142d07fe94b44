"""What an evaluation costs beside generating its tokens.

Evaluates a checkpoint on single-turn tasks as the command does: environments, grading, samples kept
as Parquet, figures, the folder. The time inside the engine is measured apart; the rest is overhead.
Loading the model comes before and is shown on its own.

    python -m rlenv.train configs/quickstart.yaml
    python benchmarks/eval_overhead.py runs/quickstart/grpo [--tasks 500] [--rounds 5] [--clock cpu]
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from rlenv.common.display import Display
from rlenv.engines.base import Completion, Engine, Request, Sampling
from rlenv.evaluation.folder import EvaluationFolder
from rlenv.evaluation.model_under_test import ModelUnderTest, load_model
from rlenv.evaluation.plan import EvaluationPlan, evaluate_plan
from rlenv.evaluation.players import LocalPlayer, Player
from rlenv.evaluation.suite import make_plan
from rlenv.run.config import read_options

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


@dataclass
class Stopwatch:
    """Time spent in one place, in seconds."""

    clock: Callable[[], float]
    seconds: float = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count what happens inside."""
        began = self.clock()
        try:
            yield
        finally:
            self.seconds += self.clock() - began


class Timed(Engine):
    """An engine whose time is taken."""

    def __init__(self, engine: Engine, watch: Stopwatch) -> None:
        self.engine, self.watch, self.max_rows = engine, watch, engine.max_rows

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> list[Completion]:
        """See `Engine.generate`."""
        with self.watch.running():
            return self.engine.generate(requests, sampling)

    def stream(
        self, requests: Sequence[Request], sampling: Sampling
    ) -> Iterator[tuple[int, Completion]]:
        """See `Engine.stream`."""
        stream = iter(self.engine.stream(requests, sampling))
        while True:
            with self.watch.running():
                found = next(stream, None)
            if found is None:
                return
            yield found

    @contextmanager
    def session(self) -> Iterator[Engine]:
        """See `Engine.session`."""
        with self.engine.session() as session:
            yield Timed(session, self.watch)


def measure(
    plan: EvaluationPlan, model: ModelUnderTest, clock: Callable[[], float], folder: Path
) -> dict[str, float]:
    """Evaluate once; returns seconds in all and in the engine, and tokens sampled."""
    watch = Stopwatch(clock)

    def player(system: str | None) -> Player:
        made = model.player(system)
        assert isinstance(made, LocalPlayer)
        made.engine = Timed(made.engine, watch)
        return made

    began = clock()
    kept = EvaluationFolder(folder, plan.record(model.record, plan.make_env()))
    result = evaluate_plan(plan, replace(model, player=player), kept, Display(quiet=True))
    return {"all": clock() - began, "engine": watch.seconds, "tokens": result["tokens"]}


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="a checkpoint folder")
    parser.add_argument("--env", default="rlenv/Arithmetic-v0")
    parser.add_argument("--option", action="append", default=[], metavar="key=value")
    parser.add_argument("--tasks", type=int, default=500)
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--max-tokens", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", metavar="FILE", help="write the figures here too")
    arguments = parser.parse_args()
    clock = CLOCKS[arguments.clock]
    torch.set_num_threads(arguments.threads)
    names = ("tasks", "samples", "max_tokens")
    env = {"id": arguments.env, **read_options(arguments.option)}
    given = {name: getattr(arguments, name) for name in names}
    plan = make_plan({"env": env, **given}, "the command line")
    began = clock()
    model = load_model(arguments.model)
    loading = clock() - began
    rounds = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(arguments.rounds + 1):
            rounds.append(measure(plan, model, clock, Path(folder) / str(number)))
    first, *rounds = rounds  # the first one also imports and fills caches
    shares = [1 - r["engine"] / r["all"] for r in rounds]
    middle = {name: statistics.median(r[name] for r in rounds) for name in rounds[0]}
    print(
        f"{arguments.tasks} tasks x {arguments.samples} samples and a greedy one, "
        f"{middle['tokens']:,.0f} tokens, {arguments.clock} clock, median of {arguments.rounds}"
    )
    print(f"loading the model   {loading:.2f} s")
    print(f"first evaluation    {first['all']:.2f} s, {first['engine']:.2f} s of it in the engine")
    print(
        f"evaluation          {middle['all']:.2f} s, {middle['engine']:.2f} s of it in the engine"
    )
    episodes = arguments.tasks * (arguments.samples + 1)
    each = 1e6 * (middle["all"] - middle["engine"]) / episodes
    print(
        f"the rest            {statistics.median(shares):.1%} "
        f"({min(shares):.1%} to {max(shares):.1%}), {each:.0f} microseconds an episode"
    )
    if arguments.json:
        figures = {"loading": loading, "first": first, "rounds": rounds, "shares": shares}
        Path(arguments.json).write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
