"""Fine-tuning speed: rlenv's packed rows in TRL's trainer beside TRL's own packing.

python benchmarks/sft.py [--data FILE] [--model tiny] [--length 256] [--batch 16] [--steps 6]

Same model, conversations, chat template, labels (the replies alone), rows a step. What differs is
who makes the tokens, and what becomes of a batch of packed rows: TRL joins them to one row for
kernels of variable lengths, rlenv keeps them apart unless flash attention is there. Both sides take
turns; the figure is the median round, in tokens that are no padding.
"""

from __future__ import annotations

import statistics
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import harness
import runs
import torch
from transformers.trainer_callback import PrinterCallback

from rlenv.core.rows import load_rows
from rlenv.core.task import Message
from rlenv.data import conversation_formats
from rlenv.models import presets
from rlenv.models.chat_format import ChatFormat
from rlenv.models.tokenizer import byte_tokenizer
from rlenv.trainers.sft.batches import collate_packed, pack
from rlenv.trainers.sft.rows import encode

DATA = "generated:instructions"


def conversations(path: str, tokenizer: Any, length: int) -> list[list[Message]]:
    """Return the conversations of a file that fit into a row."""
    chat = ChatFormat(tokenizer)
    rows = load_rows(path)
    form = conversation_formats.recognise(rows[0], path)
    talks = [talk for row in rows for talk in conversation_formats.read(row, form)]
    return [talk for talk in talks if len(chat.solved(talk[:-1], talk[-1]["content"])[0]) <= length]


def main() -> None:
    """Measure both sides and print the figures."""
    parser = harness.parser(__doc__, rounds=3, clock="wall", json=None)
    parser.add_argument("--data", default=DATA)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--vocabulary", type=int, default=2048)
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=6)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    now = harness.CLOCKS[asked.clock]
    texts = [str(value) for row in load_rows(asked.data) for value in row.values()]
    tokenizer = byte_tokenizer(texts, vocabulary=asked.vocabulary, max_length=asked.length)
    torch.manual_seed(0)
    model = presets.build(
        asked.model, vocabulary=len(tokenizer), max_length=asked.length, tokenizer=tokenizer
    )
    talks = conversations(asked.data, tokenizer, asked.length)
    start = {name: tensor.clone() for name, tensor in model.state_dict().items()}

    def trained(side: Any, folder: Path) -> dict[str, float]:
        model.load_state_dict(start)
        began = now()
        trainer = side(model, tokenizer, talks, asked, folder)
        made = now() - began
        trainer.remove_callback(PrinterCallback)
        clock = runs.StepTimes(now)
        trainer.add_callback(clock)
        loss = trainer.train().training_loss
        return {"tokens_per_second": clock.rate(), "seconds_for_data": made, "loss": loss}

    with tempfile.TemporaryDirectory() as folder:
        sides = {"rlenv": ours, "TRL": theirs}
        turns = {name: partial(trained, side, Path(folder)) for name, side in sides.items()}
        found = harness.take_turns(turns, asked.rounds)
    print(harness.conditions(libraries=("torch", "trl"), threads=1, clock=asked.clock))
    print(f"{len(talks):,} conversations, {asked.model}, rows of {asked.length} x {asked.batch}")
    rates = {name: [r["tokens_per_second"] for r in rounds] for name, rounds in found.items()}
    for name, rounds in found.items():
        print(
            f"{name:<6} {statistics.median(rates[name]):8,.0f} tokens/s   data made in "
            f"{statistics.median(r['seconds_for_data'] for r in rounds):.1f} s   "
            f"loss {rounds[-1]['loss']:.3f}"
        )
    print(f"ratio  {harness.ratio(rates['rlenv'], to=rates['TRL']):.2f}")
    harness.write_json(asked.json, found)


def config(a: Any, folder: Path, **own: Any) -> Any:
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


def ours(model: Any, tokenizer: Any, talks: list[Any], a: Any, folder: Path) -> Any:
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


def theirs(model: Any, tokenizer: Any, talks: list[Any], a: Any, folder: Path) -> Any:
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
