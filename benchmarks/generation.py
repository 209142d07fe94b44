"""Generation: the native engine against `transformers.generate` and against a bound.

Both sample from the same weights, in the same precision, at temperature 1, the same number of
tokens; replies end at lengths drawn beforehand, so that the work does not depend on what is said.
Transformers goes on until the longest reply has ended, and its replies that ended earlier are not
counted as work; that is how its `generate` treats a batch. The rounds alternate.

The bound is what this machine needs for the matrix products of the linear layers, run at the same
shapes, plus the time to read the cache once a token at the bandwidth of a plain sum, both measured
in the same run. A prompt's cache is read once for its group.

On one thread `--clock cpu` counts the processor's time, which is the wall clock's where nothing
else runs, and stays nearly the same where something does.

    python benchmarks/generation.py [--threads 1] [--rounds 5] [--sizes 1M 6M] [--groups 4 32]
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import harness
import runs
import torch
from transformers import LlamaForCausalLM

from rlenv.engines.base import Engine, Request, Sampling
from rlenv.engines.native import NativeEngine

GROUP = 16
PROMPT = (80, 120)  # tokens, from and to
REPLY = (10, 100)
SAID = 20  # tokens that the environment says between two turns
PRESETS = {"1M": "micro", "6M": "small"}
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
VOCABULARY = 1024


@dataclass
class Work:
    """What is to be generated: a prompt for each group, and reply lengths by turn and row."""

    prompts: list[list[int]]
    lengths: list[list[int]]

    @classmethod
    def draw(cls, groups: int, turns: int) -> Work:
        """Draw it, always the same."""
        rng = random.Random(0)
        prompts = [
            [rng.randrange(VOCABULARY) for _ in range(rng.randint(*PROMPT))] for _ in range(groups)
        ]
        lengths = [[rng.randint(*REPLY) for _ in range(groups * GROUP)] for _ in range(turns)]
        return cls(prompts, lengths)

    @property
    def tokens(self) -> int:
        """How many tokens are generated."""
        return sum(map(sum, self.lengths))

    def conversations(self) -> list[list[int]]:
        """Return what each row begins with."""
        return [list(prompt) for prompt in self.prompts for _ in range(GROUP)]


def build(size: str, dtype: str) -> LlamaForCausalLM:
    """Make a model with random weights."""
    model = runs.llama(
        PRESETS[size],
        vocab_size=VOCABULARY,
        max_position_embeddings=2048,
        eos_token_id=None,
        pad_token_id=0,
    )
    return model.to(DTYPES[dtype]).eval()


def with_engine(engine: Engine, work: Work) -> None:
    """Generate with an engine."""
    talks = work.conversations()
    with engine.session() as session:
        for turn, lengths in enumerate(work.lengths):
            requests = [
                Request(talk, seed=1000 * turn + n, max_tokens=length, conversation=n)
                for n, (talk, length) in enumerate(zip(talks, lengths, strict=True))
            ]
            for talk, done in zip(
                talks, session.generate(requests, Sampling(max_tokens=REPLY[1])), strict=True
            ):
                talk += done.token_ids + [1] * SAID


@torch.inference_mode()
def with_transformers(model: LlamaForCausalLM, work: Work) -> None:
    """Generate with `transformers.generate`, on the whole conversation at each turn."""
    talks = work.conversations()
    for lengths in work.lengths:
        out = runs.generate(model, talks, max(lengths), pad=0)
        for talk, said, length in zip(talks, out, lengths, strict=True):
            talk += said[:length] + [1] * SAID


def bandwidth(clock: harness.Clock) -> float:
    """Return bytes a second that a plain sum reads from memory."""
    block = torch.ones(2**26)
    return block.nbytes / min(harness.timed(block.sum, clock)() for _ in range(5))


@torch.inference_mode()
def products(model: LlamaForCausalLM, work: Work) -> None:
    """Run the linear layers' matrix products: of each prompt once, and of each token."""
    layer = model.model.layers[0]
    attention, mlp = layer.self_attn, layer.mlp
    qkv = torch.cat([attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.weight])
    gate_up = torch.cat([mlp.gate_proj.weight, mlp.up_proj.weight])
    weights = [qkv, attention.o_proj.weight, gate_up, mlp.down_proj.weight]
    inputs = [torch.randn(2048, w.shape[1], dtype=w.dtype) for w in weights]

    def run(rows: int, head: int) -> None:
        while rows > 0:
            for _ in model.model.layers:
                for x, w in zip(inputs, weights, strict=True):
                    torch.nn.functional.linear(x[:rows], w)
            rows -= len(inputs[0])
        torch.nn.functional.linear(inputs[0][:head], model.lm_head.weight)

    run(sum(map(len, work.prompts)), len(work.prompts))
    for turn, lengths in enumerate(work.lengths):
        if turn:
            run(len(lengths) * (SAID + 1), len(lengths))
        for step in range(1, max(lengths)):
            live = sum(length > step for length in lengths)
            run(live, live)


def cache_bytes(model: LlamaForCausalLM, work: Work) -> int:
    """Return what is read of the cache: own columns by each row, a prompt once for its group."""
    config = model.config
    token = 2 * config.num_hidden_layers * config.hidden_size * model.dtype.itemsize
    own, read = [0] * len(work.lengths[0]), 0
    for turn, lengths in enumerate(work.lengths):
        for group, prompt in enumerate(work.prompts):
            rows = lengths[group * GROUP : (group + 1) * GROUP]
            read += (max(rows) - 1 + bool(turn)) * len(prompt)
        for row, length in enumerate(lengths):
            news = SAID + 1 if turn else 0
            own[row] += news
            read += own[row] if turn else 0
            read += sum(own[row] + n for n in range(1, length))
            own[row] += length - 1
    return int(read * token)


def contenders(size: str, dtype: str, groups: int, turns: int) -> dict[str, Callable[[], object]]:
    """Return what is measured, by name."""
    model = build(size, dtype)
    work = Work.draw(groups, turns)
    engine = NativeEngine(model, stop_ids=[VOCABULARY])
    return {
        "native": lambda: with_engine(engine, work),
        "transformers": lambda: with_transformers(model, work),
        "products": lambda: products(model, work),
    }


def compare(case: tuple[str, str, int, int], asked: Any) -> dict[str, Any]:
    """Measure one case and print it; return its figures."""
    clock = harness.CLOCKS[asked.clock]
    measured = {name: harness.timed(run, clock) for name, run in contenders(*case).items()}
    measured["bandwidth"] = lambda: bandwidth(clock)
    found = harness.take_turns(measured, asked.rounds, warm_up=1)
    size, dtype, groups, turns = case
    work = Work.draw(groups, turns)
    times = {name: harness.Spread.of(values).median for name, values in found.items()}
    read = cache_bytes(build(size, dtype), work) / times["bandwidth"]
    bounds = [seconds + read for seconds in found["products"]]
    share = harness.ratio(bounds, to=found["native"]).median
    print(
        f"{size} {dtype}, {groups} groups of {GROUP}, {turns} turn(s), {work.tokens:,} tokens: "
        f"native {work.tokens / times['native']:,.0f} tokens/s, "
        f"transformers {work.tokens / times['transformers']:,.0f} tokens/s: "
        f"x{harness.ratio(found['transformers'], to=found['native']):.2f}; "
        f"bound {times['products']:.3f} + {read:.3f} s of {times['native']:.3f} s: {share:.0%}",
        flush=True,
    )
    figures: dict[str, Any] = {"case": case, "tokens": work.tokens, **found}
    if asked.memory:
        figures["memory"] = {
            name: harness.in_child(__file__, [name, *case], "--threads", str(asked.threads))[0]
            for name in ("native", "transformers")
        }
        added = ", ".join(f"{name} {mib:,.0f} MiB" for name, mib in figures["memory"].items())
        print(f"    memory added: {added}", flush=True)
    if asked.profile:
        run = contenders(*case)["native"]
        run()
        harness.profiled(run)
    return figures


def main() -> None:
    """Run all cases."""
    parser = harness.parser(__doc__, rounds=5, threads=1, clock="wall", json=None, child=None)
    parser.add_argument("--sizes", nargs="+", default=list(PRESETS), choices=list(PRESETS))
    parser.add_argument("--dtypes", nargs="+", default=list(DTYPES), choices=list(DTYPES))
    parser.add_argument("--groups", nargs="+", type=int, default=[4, 32])
    parser.add_argument("--turns", nargs="+", type=int, default=[1, 6])
    parser.add_argument("--memory", action="store_true", help="measure peak memory too")
    parser.add_argument("--profile", action="store_true", help="show where the engine's time goes")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    if asked.child:
        name, *case = asked.child
        print(harness.memory_added(contenders(*case)[name]))
        return
    libraries = ("torch", "transformers")
    print(harness.conditions(libraries=libraries, threads=asked.threads, clock=asked.clock))
    cases = itertools.product(asked.turns, asked.dtypes, asked.sizes, asked.groups)
    figures = [compare((size, dtype, groups, turns), asked) for turns, dtype, size, groups in cases]
    harness.write_json(asked.json, figures)


if __name__ == "__main__":
    main()
