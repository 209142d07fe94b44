"""From rows of tokens to the tensors of a step: padded, or packed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from rlenv.trainers.sft.rows import IGNORED, TokenRow


def collate(batch: Sequence[TokenRow], pad: int) -> dict[str, Tensor]:
    """Pad rows on the right to (B, T) tensors `input_ids`, `labels`, `attention_mask`."""
    tensors = _padded(batch, {"input_ids": pad, "labels": IGNORED})
    lengths = torch.tensor([len(row["input_ids"]) for row in batch])
    longest = tensors["input_ids"].shape[1]
    tensors["attention_mask"] = (torch.arange(longest) < lengths[:, None]).long()
    return tensors


def pack(rows: Sequence[TokenRow], length: int) -> Any:
    """Put rows together, best fit first (Ding et al. 2024), none cut.

    Args:
        rows: none longer than `length`.
        length: tokens in a packed row at most.

    Returns:
        A `datasets.Dataset` with `input_ids`, `labels`, and `seq_lengths`, the lengths of the rows
        within each packed row.
    """
    from datasets import Dataset
    from trl import pack_dataset

    return pack_dataset(Dataset.from_list(list(rows)), length, "bfd")


def collate_packed(
    batch: Sequence[dict[str, list[int]]], pad: int, *, flat: bool = False
) -> dict[str, Tensor]:
    """Turn packed rows into tensors of which no document sees another.

    Positions begin anew at each document, and transformers reads that off `position_ids` where
    there is no attention mask. Rows stay apart (B, T), so attention costs B T^2; TRL makes one row
    of them, which is what kernels for variable lengths want, but costs (B T)^2 elsewhere.

    Args:
        batch: with `input_ids`, `labels`, `seq_lengths`.
        pad: the token to pad with.
        flat: join all rows to (1, sum of their lengths), for flash attention.

    Returns:
        `input_ids`, `labels`, `position_ids`. The first label of each document is -100, as the
        token before it belongs to another.
    """
    rows = [
        {
            "input_ids": row["input_ids"],
            "labels": _without_first(row["labels"], row["seq_lengths"]),
            "position_ids": [n for length in row["seq_lengths"] for n in range(length)],
        }
        for row in batch
    ]
    if flat:
        rows = [{name: [n for row in rows for n in row[name]] for name in rows[0]}]
    # a padding token stands at position 0, so it is a document of its own
    return _padded(rows, {"input_ids": pad, "labels": IGNORED, "position_ids": 0})


def _without_first(labels: list[int], lengths: Sequence[int]) -> list[int]:
    kept, start = list(labels), 0
    for length in lengths:
        kept[start] = IGNORED
        start += length
    return kept


def _padded(batch: Sequence[dict[str, list[int]]], filled: dict[str, int]) -> dict[str, Tensor]:
    longest = max(len(row["input_ids"]) for row in batch)
    return {
        name: torch.tensor([row[name] + [fill] * (longest - len(row[name])) for row in batch])
        for name, fill in filled.items()
    }
