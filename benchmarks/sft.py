"""Fine-tuning speed: rlenv's packed rows in TRL's trainer beside TRL's own packing.

python benchmarks/sft.py [--data FILE] [--model tiny] [--length 256] [--batch 16] [--steps 6]

Same model, conversations, chat template, labels (the replies alone), rows a step. What differs is
who makes the tokens, and what becomes of a batch of packed rows: TRL joins them to one row for
kernels of variable lengths, rlenv keeps them apart unless flash attention is there. Both sides take
turns; the figure is the median round, in tokens that are no padding.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback
from transformers.trainer_callback import PrinterCallback

from rlenv.core.rows import load_rows
from rlenv.core.task import Message
from rlenv.data import conversation_formats
from rlenv.models import presets
from rlenv.models.chat_format import ChatFormat
from rlenv.models.tokenizer import byte_tokenizer
from rlenv.trainers.sft.batches import collate_packed, pack
from rlenv.trainers.sft.rows import encode

DATA = "../shared/data/sft/instructions-1100.json"
CLOCKS: dict[str, Callable[[], float]] = {"wall": time.monotonic, "cpu": time.process_time}


class Clock(TrainerCallback):
    """Measures from the end of the first step to that of the last."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self.times: list[float] = []
        self.tokens: list[int] = []

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Take the time."""
        self.times.append(self._now())
        self.tokens.append(state.num_input_tokens_seen)

    def rate(self) -> float:
        """Return tokens a second."""
        return (self.tokens[-1] - self.tokens[0]) / (self.times[-1] - self.times[0])


def conversations(path: str, tokenizer: Any, length: int) -> list[list[Message]]:
    """Return the conversations of a file that fit into a row."""
    chat = ChatFormat(tokenizer)
    rows = load_rows(path)
    form = conversation_formats.recognise(rows[0], path)
    talks = [talk for row in rows for talk in conversation_formats.read(row, form)]
    return [talk for talk in talks if len(chat.solved(talk[:-1], talk[-1]["content"])[0]) <= length]


def main() -> None:
    """Measure both sides and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=DATA)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--vocabulary", type=int, default=2048)
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    a = parser.parse_args()
    torch.set_num_threads(1)
    now = CLOCKS[a.clock]
    texts = [str(value) for row in load_rows(a.data) for value in row.values()]
    tokenizer = byte_tokenizer(texts, vocabulary=a.vocabulary, max_length=a.length)
    torch.manual_seed(0)
    model = presets.build(
        a.model, vocabulary=len(tokenizer), max_length=a.length, tokenizer=tokenizer
    )
    talks = conversations(a.data, tokenizer, a.length)
    folder = Path(tempfile.mkdtemp())
    sides = {"rlenv": ours, "TRL": theirs}
    rates: dict[str, list[float]] = {name: [] for name in sides}
    made: dict[str, list[float]] = {name: [] for name in sides}
    losses: dict[str, list[float]] = {name: [] for name in sides}
    start = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for _ in range(a.rounds):
        for name, side in sides.items():
            model.load_state_dict(start)
            began = now()
            trainer = side(model, tokenizer, talks, a, folder)
            made[name].append(now() - began)
            trainer.remove_callback(PrinterCallback)
            clock = Clock(now)
            trainer.add_callback(clock)
            losses[name].append(trainer.train().training_loss)
            rates[name].append(clock.rate())
    shutil.rmtree(folder)
    print(
        f"{len(talks):,} conversations, {a.model}, rows of {a.length} x {a.batch}, {a.clock} time"
    )
    for name in sides:
        print(
            f"{name:<6} {statistics.median(rates[name]):8,.0f} tokens/s   "
            f"data made in {statistics.median(made[name]):.1f} s   loss {losses[name][-1]:.3f}"
        )
    ratios = [r / t for r, t in zip(rates["rlenv"], rates["TRL"], strict=True)]
    print(f"ratio  {statistics.median(ratios):.2f} (rounds {min(ratios):.2f} to {max(ratios):.2f})")


def config(a: argparse.Namespace, folder: Path, **own: Any) -> Any:
    """Return TRL's configuration for both sides."""
    from trl import SFTConfig

    return SFTConfig(
        output_dir=str(folder),
        max_steps=a.steps,
        per_device_train_batch_size=a.batch,
        max_length=a.length,
        learning_rate=1e-4,
        use_cpu=True,
        bf16=False,
        activation_checkpointing=False,
        include_num_input_tokens_seen="non_padding",
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        dataloader_pin_memory=False,
        **own,
    )


def ours(model: Any, tokenizer: Any, talks: list[Any], a: argparse.Namespace, folder: Path) -> Any:
    """Return the trainer as the stage `sft` makes it."""
    from trl import SFTTrainer

    chat = ChatFormat(tokenizer)
    rows = pack([encode(talk, chat, a.length) for talk in talks], a.length)
    return SFTTrainer(
        model=model,
        args=config(a, folder, dataset_kwargs={"skip_prepare_dataset": True}),
        train_dataset=rows,
        processing_class=tokenizer,
        data_collator=lambda batch: collate_packed(batch, tokenizer.pad_token_id),
    )


def theirs(
    model: Any, tokenizer: Any, talks: list[Any], a: argparse.Namespace, folder: Path
) -> Any:
    """Return the trainer as TRL makes it from messages."""
    from datasets import Dataset, disable_caching
    from trl import SFTTrainer

    disable_caching()  # each round makes its data
    return SFTTrainer(
        model=model,
        args=config(a, folder, packing=True, assistant_only_loss=True),
        train_dataset=Dataset.from_list([{"messages": talk} for talk in talks]),
        processing_class=tokenizer,
    )


if __name__ == "__main__":
    main()
