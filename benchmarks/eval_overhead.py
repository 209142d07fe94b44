"""What an evaluation costs beside generating its tokens.

Evaluates a checkpoint on single-turn tasks as the command does: environments, grading, samples kept
as Parquet, figures, the folder. The time inside the engine is measured apart; the rest is overhead.
Loading the model comes before and is shown on its own.

    python -m rlenv.train configs/quickstart.yaml
    python benchmarks/eval_overhead.py runs/quickstart/grpo [--tasks 500] [--rounds 5] [--clock cpu]
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import harness
import torch

from rlenv.common.display import Display
from rlenv.engines.base import Completion, Engine, Request, Sampling
from rlenv.evaluation.folder import EvaluationFolder
from rlenv.evaluation.model_under_test import ModelUnderTest, load_model
from rlenv.evaluation.plan import EvaluationPlan, evaluate_plan
from rlenv.evaluation.players import LocalPlayer, Player
from rlenv.evaluation.suite import make_plan
from rlenv.run.config import read_options


@dataclass
class Stopwatch:
    """Time spent in one place, in seconds."""

    clock: harness.Clock
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
    plan: EvaluationPlan, model: ModelUnderTest, clock: harness.Clock, folder: Path
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
    parser = harness.parser(__doc__, rounds=5, clock="wall", threads=1, json=None)
    parser.add_argument("model", help="a checkpoint folder")
    parser.add_argument("--env", default="rlenv/Arithmetic-v0")
    parser.add_argument("--option", action="append", default=[], metavar="key=value")
    parser.add_argument("--tasks", type=int, default=500)
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--max-tokens", type=int, default=8)
    asked = parser.parse_args()
    clock = harness.CLOCKS[asked.clock]
    torch.set_num_threads(asked.threads)
    given = {name: getattr(asked, name) for name in ("tasks", "samples", "max_tokens")}
    env = {"id": asked.env, **read_options(asked.option)}
    plan = make_plan({"env": env, **given}, "the command line")
    began = clock()
    model = load_model(asked.model)
    loading = clock() - began
    with tempfile.TemporaryDirectory() as folder:
        folders = (Path(folder) / str(number) for number in count())
        evaluation = {"all": lambda: measure(plan, model, clock, next(folders))}
        # the first one also imports and fills caches
        first, *rounds = harness.take_turns(evaluation, asked.rounds + 1)["all"]
    shares = [1 - r["engine"] / r["all"] for r in rounds]
    middle = {name: statistics.median(r[name] for r in rounds) for name in rounds[0]}
    episodes = asked.tasks * (asked.samples + 1)
    each = 1e6 * (middle["all"] - middle["engine"]) / episodes
    print(harness.conditions(threads=asked.threads, clock=asked.clock))
    print(
        f"{asked.tasks} tasks x {asked.samples} samples and a greedy one, "
        f"{middle['tokens']:,.0f} tokens, median of {asked.rounds}"
    )
    print(f"loading the model   {loading:.2f} s")
    for name, r in {"first evaluation": first, "evaluation": middle}.items():
        print(f"{name:<19} {r['all']:.2f} s, {r['engine']:.2f} s of it in the engine")
    print(
        f"the rest            {harness.Spread.of(shares):.1%}, {each:.0f} microseconds an episode"
    )
    figures = {"loading": loading, "first": first, "rounds": rounds, "shares": shares}
    harness.write_json(asked.json, figures)


if __name__ == "__main__":
    main()
