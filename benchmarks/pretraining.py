"""Training steps: rlenv's loop beside transformers.Trainer and a plain loop, on the same batches.

Every contestant begins with the same weights, sees the same tokens in the same order, clips to the
same norm and steps with the same fused AdamW; the losses of the last step are printed so that one
can see it. Rounds alternate, and ratios are taken within a round. The peak is that of products of
large square matrices, measured in each round too.

    python benchmarks/pretraining.py --sizes micro small --rounds 5
"""

from __future__ import annotations

import copy
import itertools
import statistics
import tempfile
from collections.abc import Callable
from typing import Any

import harness
import numpy as np
import runs
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from transformers import LlamaForCausalLM, Trainer, TrainingArguments
from transformers.trainer_callback import PrinterCallback

from rlenv.trainers.common import optimizers
from rlenv.trainers.pretraining import throughput
from rlenv.trainers.pretraining.rows import next_token
from rlenv.trainers.pretraining.training import accumulate

RATE, DECAY, NORM = 1e-3, 0.1, 1.0

Contestant = Callable[[], tuple[list[float], float]]  # seconds of each step, loss of the last


class PlainLlama(nn.Module):
    """A decoder as one writes it down for a single script, in the manner of nanoGPT's model.py."""

    cos: Tensor
    sin: Tensor

    def __init__(self, model: LlamaForCausalLM) -> None:
        super().__init__()
        config = model.config
        self.heads, self.width = config.num_attention_heads, config.hidden_size
        self.head = self.width // self.heads
        self.eps = config.rms_norm_eps
        self.embed = nn.Parameter(model.model.embed_tokens.weight.detach().clone())
        self.last = nn.Parameter(model.model.norm.weight.detach().clone())
        self.blocks = nn.ModuleList(self._block(layer) for layer in model.model.layers)
        length = config.max_position_embeddings
        theta = config.rope_parameters["rope_theta"]
        turns = torch.outer(
            torch.arange(length), theta ** (-torch.arange(0, self.head, 2) / self.head)
        )
        self.register_buffer("cos", turns.cos().repeat(1, 2))
        self.register_buffer("sin", turns.sin().repeat(1, 2))

    def _block(self, layer: Any) -> nn.ParameterDict:
        attention, mlp = layer.self_attn, layer.mlp
        projections = (attention.q_proj, attention.k_proj, attention.v_proj)
        weights = {
            "before": layer.input_layernorm.weight,
            "qkv": torch.cat([p.weight for p in projections]),
            "out": attention.o_proj.weight,
            "between": layer.post_attention_layernorm.weight,
            "gate_up": torch.cat([mlp.gate_proj.weight, mlp.up_proj.weight]),
            "down": mlp.down_proj.weight,
        }
        return nn.ParameterDict({k: nn.Parameter(w.detach().clone()) for k, w in weights.items()})

    def forward(self, ids: Tensor, labels: Tensor) -> Tensor:
        """Return the mean loss of the labels (B, T)."""
        x = F.embedding(ids, self.embed)
        blocks: Any = self.blocks
        for block in blocks:
            x = x + self._attend(F.rms_norm(x, (self.width,), block["before"], self.eps), block)
            y = F.rms_norm(x, (self.width,), block["between"], self.eps)
            gate, up = F.linear(y, block["gate_up"]).chunk(2, -1)
            x = x + F.linear(F.silu(gate) * up, block["down"])
        logits = F.linear(F.rms_norm(x, (self.width,), self.last, self.eps), self.embed)
        return F.cross_entropy(logits.float().flatten(0, 1), labels.flatten(), ignore_index=-100)

    def _attend(self, x: Tensor, block: Any) -> Tensor:
        batch, length, _ = x.shape
        q, k, v = F.linear(x, block["qkv"]).chunk(3, -1)
        q, k, v = (t.view(batch, length, self.heads, self.head).transpose(1, 2) for t in (q, k, v))
        q, k = self._turn(q), self._turn(k)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return F.linear(y.transpose(1, 2).reshape(batch, length, self.width), block["out"])

    def _turn(self, x: Tensor) -> Tensor:
        length = x.shape[2]
        a, b = x.chunk(2, -1)
        return x * self.cos[:length] + torch.cat([-b, a], -1) * self.sin[:length]


def batches(steps: int, rows: int, length: int, vocabulary: int) -> Tensor:
    """Return tokens (steps, rows, length), of words as frequent as those of a text (Zipf)."""
    generator = torch.Generator().manual_seed(0)
    shares = 1 / torch.arange(1, vocabulary + 1)
    drawn = torch.multinomial(shares, steps * rows * length, replacement=True, generator=generator)
    return drawn.view(steps, rows, length)


def ours(start: Any, tokens: Tensor, clock: harness.Clock, *, bf16: bool) -> Contestant:
    """The loop of the stage `pretrain`."""

    def run() -> tuple[list[float], float]:
        model = copy.deepcopy(start)
        optimizer = optimizers.make("adamw", model, RATE, DECAY)
        seconds, loss = [], 0.0
        for ids in tokens:
            began = clock()
            # the token after the last is of another document, so it is not asked for
            after = F.pad(ids, (0, 1)).numpy().astype(np.int32)
            owners = np.zeros(after.shape, np.int64)
            owners[:, -1] = 1
            rows = next_token(after, owners)
            loss = accumulate(model, rows, len(rows), bf16=bf16)
            optimizer.step(RATE, NORM)
            seconds.append(clock() - began)
        return seconds, loss

    return run


def plain(start: Any, tokens: Tensor, clock: harness.Clock, *, bf16: bool) -> Contestant:
    """A loop as in nanoGPT's train.py."""

    def run() -> tuple[list[float], float]:
        model = PlainLlama(start)
        optimizer = torch.optim.AdamW(
            optimizers.parameter_groups(model, RATE, DECAY), betas=(0.9, 0.95), fused=True
        )
        seconds, loss = [], torch.zeros(())
        for ids in tokens:
            began = clock()
            labels = F.pad(ids[:, 1:], (0, 1), value=-100)
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                loss = model(ids, labels)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), NORM)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            seconds.append(clock() - began)
        return seconds, float(loss.detach())

    return run


def trainer(start: Any, tokens: Tensor, clock: harness.Clock, *, bf16: bool) -> Contestant:
    """transformers.Trainer as it comes, on a CPU."""
    rows = [{"input_ids": ids, "labels": ids} for step in tokens for ids in step]

    def run() -> tuple[list[float], float]:
        times = runs.StepTimes(clock)
        with tempfile.TemporaryDirectory() as folder:
            made = Trainer(
                model=copy.deepcopy(start),
                args=TrainingArguments(
                    output_dir=folder,
                    max_steps=len(tokens),
                    per_device_train_batch_size=tokens.shape[1],
                    learning_rate=RATE,
                    lr_scheduler_type="constant",
                    weight_decay=DECAY,
                    adam_beta2=0.95,
                    max_grad_norm=NORM,
                    optim="adamw_torch_fused",
                    use_cpu=True,
                    bf16=bf16,
                    logging_strategy="no",
                    save_strategy="no",
                    report_to=[],
                    disable_tqdm=True,
                    train_sampling_strategy="sequential",
                ),
                train_dataset=rows,
                callbacks=[times],
            )
            made.pop_callback(PrinterCallback)
            made.train()
        return times.seconds(), float("nan")

    return run


def compare(size: str, asked: Any, *, bf16: bool) -> dict[str, Any]:
    """Measure one size and print it; return its figures."""
    clock = harness.CLOCKS[asked.clock]
    vocabulary, length = asked.vocabulary, asked.length
    start = runs.llama(size, vocab_size=vocabulary, max_position_embeddings=length)
    tokens = batches(asked.steps, asked.rows, length, vocabulary)
    sides = {"rlenv": ours, "plain": plain, "Trainer": trainer}
    contestants: dict[str, Callable[[], Any]] = {
        name: make(start, tokens, clock, bf16=bf16) for name, make in sides.items()
    }
    contestants["peak"] = lambda: throughput.peak("cpu", bf16=bf16, seconds=0.5, clock=clock)
    found = harness.take_turns(contestants, asked.rounds)
    peak, count = statistics.median(found["peak"]), sum(p.numel() for p in start.parameters())
    losses = {name: found[name][-1][1] for name in sides}
    print(
        f"{size} ({count / 1e6:.2f}M) {'bf16' if bf16 else 'fp32'}, {asked.rows} rows of "
        f"{length}, peak {peak / 1e9:.0f} GFLOP/s; loss rlenv {losses['rlenv']:.5f}, "
        f"plain {losses['plain']:.5f}"
    )
    speeds = {  # the first step warms up
        name: [tokens[0].numel() / statistics.median(seconds[1:]) for seconds, _ in found[name]]
        for name in sides
    }
    for name, values in speeds.items():
        speed = statistics.median(values)
        print(
            f"  {name:<8}{speed:>9,.0f} tokens/s   {6 * count * speed / peak:>4.0%} of the peak   "
            f"rlenv is x{harness.ratio(speeds['rlenv'], to=values):.2f}",
            flush=True,
        )
    case = {"size": size, "bf16": bf16, "losses": losses}
    return {**case, "tokens_per_second": speeds, "peak": found["peak"]}


def main() -> None:
    """Run all cases."""
    parser = harness.parser(__doc__, rounds=5, threads=1, clock="wall", json=None)
    parser.add_argument("--sizes", nargs="+", default=["micro", "small"])
    parser.add_argument("--dtypes", nargs="+", default=["fp32", "bf16"], choices=["fp32", "bf16"])
    parser.add_argument("--vocabulary", type=int, default=4096)
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--rows", type=int, default=16)
    parser.add_argument("--steps", type=int, default=5)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    libraries = ("torch", "transformers")
    print(harness.conditions(libraries=libraries, threads=asked.threads, clock=asked.clock))
    cases = itertools.product(asked.sizes, asked.dtypes)
    figures = [compare(size, asked, bf16=dtype == "bf16") for size, dtype in cases]
    harness.write_json(asked.json, figures)


if __name__ == "__main__":
    main()
