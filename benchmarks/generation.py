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

import argparse
import json
import os
import random
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile
from transformers import LlamaConfig, LlamaForCausalLM

from rlenv.engines.base import Engine, Request, Sampling
from rlenv.engines.native import NativeEngine
from rlenv.models.presets import preset

GROUP = 16
PROMPT = (80, 120)  # tokens, from and to
REPLY = (10, 100)
SAID = 20  # tokens that the environment says between two turns
PRESETS = {"1M": "micro", "6M": "small"}
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
VOCABULARY = 1024
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


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
    shape = preset(PRESETS[size])
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=shape.width,
        intermediate_size=shape.mlp,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        eos_token_id=None,
        pad_token_id=0,
    )
    return LlamaForCausalLM(config).to(DTYPES[dtype]).eval()


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
        longest = max(map(len, talks))
        ids = torch.tensor([[0] * (longest - len(talk)) + talk for talk in talks])
        mask = torch.tensor([[0] * (longest - len(talk)) + [1] * len(talk) for talk in talks])
        out = model.generate(
            ids,
            attention_mask=mask,
            do_sample=True,
            top_k=0,
            max_new_tokens=max(lengths),
            pad_token_id=0,
        )[:, longest:].tolist()
        for talk, said, length in zip(talks, out, lengths, strict=True):
            talk += said[:length] + [1] * SAID


def bandwidth(clock: Callable[[], float]) -> float:
    """Return bytes a second that a plain sum reads from memory."""
    block = torch.ones(2**26)
    times = []
    for _ in range(5):
        began = clock()
        block.sum()
        times.append(clock() - began)
    return block.nbytes / min(times)


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
    return read * token


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


def memory_of(name: str, *case: Any) -> float:
    """Return what generating takes at its peak beyond what the process held before, in MB."""
    run = contenders(*case)[name]
    Path("/proc/self/clear_refs").write_text("5")  # begins a new peak
    before = resident("VmHWM")
    run()
    return resident("VmHWM") - before


def resident(field: str) -> float:
    """Return a figure of this process's memory, in MB."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(rf"{field}:\s+(\d+) kB", status)[1]) / 1024


def peak(*case: object) -> float:
    """Return `memory_of` in a process of its own."""
    command = [sys.executable, __file__, "--peak", json.dumps(case)]
    return float(subprocess.run(command, capture_output=True, check=True, text=True).stdout)


def profiled(*case: Any) -> None:
    """Print the operations that the native engine spends most of a case's time in."""
    run = contenders(*case)["native"]
    run()
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        run()
    print(profiler.key_averages().table(sort_by="self_cpu_time_total", row_limit=15), flush=True)


def compare(
    size: str, dtype: str, groups: int, turns: int, *, rounds: int, clock: str, memory: bool
) -> None:
    """Measure one case and print it."""
    runs, now = contenders(size, dtype, groups, turns), CLOCKS[clock]
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    speeds = []
    for number in range(rounds + 1):
        for name, run in runs.items():
            began = now()
            run()
            if number:  # the first round warms up
                seconds[name].append(now() - began)
        speeds.append(bandwidth(now))
    work, model = Work.draw(groups, turns), build(size, dtype)
    read = cache_bytes(model, work) / statistics.median(speeds)
    ratios = [t / n for t, n in zip(seconds["transformers"], seconds["native"], strict=True)]
    shares = [(p + read) / n for p, n in zip(seconds["products"], seconds["native"], strict=True)]
    times = {name: statistics.median(values) for name, values in seconds.items()}
    print(
        f"{size} {dtype}, {groups} groups of {GROUP}, {turns} turn(s), {work.tokens:,} tokens: "
        f"native {work.tokens / times['native']:,.0f} tokens/s, "
        f"transformers {work.tokens / times['transformers']:,.0f} tokens/s: "
        f"x{statistics.median(ratios):.2f} [{min(ratios):.2f}, {max(ratios):.2f}]; "
        f"bound {times['products']:.3f} + {read:.3f} s of {times['native']:.3f} s: "
        f"{statistics.median(shares):.0%}",
        flush=True,
    )
    if memory:
        case = (size, dtype, groups, turns)
        ours, theirs = peak("native", *case), peak("transformers", *case)
        print(f"    memory added: native {ours:,.0f} MB, transformers {theirs:,.0f} MB", flush=True)


def main() -> None:
    """Run all cases."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sizes", nargs="+", default=list(PRESETS), choices=list(PRESETS))
    parser.add_argument("--dtypes", nargs="+", default=list(DTYPES), choices=list(DTYPES))
    parser.add_argument("--groups", nargs="+", type=int, default=[4, 32])
    parser.add_argument("--turns", nargs="+", type=int, default=[1, 6])
    parser.add_argument("--clock", default="wall", choices=list(CLOCKS))
    parser.add_argument("--memory", action="store_true", help="measure peak memory too")
    parser.add_argument("--profile", action="store_true", help="show where the engine's time goes")
    parser.add_argument("--peak", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.peak:
        print(memory_of(*json.loads(arguments.peak)))
        return
    load = ", ".join(f"{n:.1f}" for n in os.getloadavg())
    print(
        f"torch {torch.__version__}, {arguments.threads} thread(s), {arguments.clock} clock, "
        f"load average {load}"
    )
    for turns in arguments.turns:
        for dtype in arguments.dtypes:
            for size in arguments.sizes:
                for groups in arguments.groups:
                    compare(
                        size,
                        dtype,
                        groups,
                        turns,
                        rounds=arguments.rounds,
                        clock=arguments.clock,
                        memory=arguments.memory,
                    )
                    if arguments.profile:
                        profiled(size, dtype, groups, turns)


if __name__ == "__main__":
    main()
