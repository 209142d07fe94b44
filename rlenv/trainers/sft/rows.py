"""From files of conversations to tokens with labels; what can't be used is counted and named."""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from rlenv.common.errors import UserError
from rlenv.core.rows import Rows, load_rows
from rlenv.core.task import Message
from rlenv.data import conversation_formats
from rlenv.data.conversation_formats import BadRow
from rlenv.models.chat_format import ChatFormat
from rlenv.trainers.sft.settings import DataSettings

IGNORED = -100  # the label of a token that no loss is taken on
_NAMED = 3  # rows that are named for each reason

TokenRow = dict[str, list[int]]


@dataclass
class SourceReport:
    """What became of a source.

    Attributes:
        source: its path.
        form: of its rows.
        rows: how many it has.
        used: conversations that are trained on, copies aside.
        held_out: conversations that only the loss is measured on.
        tokens: of the conversations used.
        learned: tokens among them that a loss is taken on.
        dropped: reason to the numbers of the rows, counted from 1.
    """

    source: str
    form: str
    rows: int = 0
    used: int = 0
    held_out: int = 0
    tokens: int = 0
    learned: int = 0
    dropped: dict[str, list[int]] = field(default_factory=dict)

    @property
    def bad(self) -> int:
        """How many rows were dropped, or had a conversation dropped."""
        return len({number for numbers in self.dropped.values() for number in numbers})

    def lines(self) -> list[str]:
        """Return what to tell the user."""
        kept = f"{self.used:,} conversations"
        if self.held_out:
            kept += f", {self.held_out:,} held out"
        told = [
            f"{self.source}: {self.form}, {self.rows:,} rows, {kept}, {self.learned:,} of "
            f"{self.tokens:,} tokens learned"
        ]
        for reason, numbers in sorted(self.dropped.items(), key=lambda item: -len(item[1])):
            named = ", ".join(map(str, numbers[:_NAMED]))
            more = ", ..." if len(numbers) > _NAMED else ""
            word = "row" if len(numbers) == 1 else "rows"
            told.append(f"  dropped: {reason}: {len(numbers):,} {word} ({named}{more})")
        return told

    def plain(self) -> dict[str, Any]:
        """Return it as values for JSON, with the first of the rows that were dropped."""
        dropped = {
            reason: {"rows": len(numbers), "first": numbers[:_NAMED]}
            for reason, numbers in self.dropped.items()
        }
        return {**self.__dict__, "dropped": dropped}


@dataclass
class Conversations:
    """Tokens of conversations.

    Attributes:
        rows: with `input_ids`, and `labels` that are -100 wherever no loss is taken.
        held_out: rows that are not trained on.
        reports: one a source.
    """

    rows: list[TokenRow] = field(default_factory=list)
    held_out: list[TokenRow] = field(default_factory=list)
    reports: list[SourceReport] = field(default_factory=list)


def open_source(source: DataSettings) -> tuple[Rows, str]:
    """Load the rows of a source and recognise their form.

    Raises:
        UserError: they can't be read, have the columns of no form, or are too few.
    """
    rows = load_rows(source.path, part=source.part)
    if not len(rows):
        raise UserError(f"{source.path} has no rows")
    form: str | None = source.form
    if form is None:
        columns = Counter(name for row in rows[:100] for name in row)
        form = conversation_formats.recognise(columns, source.path)
    if len(rows) == 1:
        raise UserError(f"{source.path} has one row alone, which is too few to learn from")
    return rows, form


def tokenize(
    sources: Sequence[DataSettings],
    chat: ChatFormat,
    *,
    max_length: int,
    held_out: float,
    seed: int,
) -> Conversations:
    """Read sources, and turn each conversation into the tokens of a rollout that says the same.

    Whether a conversation is held out depends on what comes before its first reply, so another
    reply to the same question is on the same side.

    Args:
        sources: files or data sets.
        chat: how conversations become tokens.
        max_length: longer conversations are dropped.
        held_out: share of the conversations that is.
        seed: decides which rows of a source with a broken weight are taken.
    """
    made = Conversations()
    for source in sources:
        rows, form = open_source(source)
        report = SourceReport(source.path, form, len(rows))
        used: list[TokenRow] = []
        for number, row in enumerate(rows, 1):
            try:
                conversations = conversation_formats.read(row, form)
            except BadRow as bad:
                report.dropped.setdefault(str(bad), []).append(number)
                continue
            for messages in conversations:
                try:
                    tokens = encode(messages, chat, max_length)
                except BadRow as bad:
                    report.dropped.setdefault(str(bad), []).append(number)
                    continue
                side = made.held_out if is_held_out(messages, held_out) else used
                side.append(tokens)
                report.held_out += side is made.held_out
        report.used = len(used)
        report.tokens = sum(len(row["input_ids"]) for row in used)
        report.learned = sum(label != IGNORED for row in used for label in row["labels"])
        made.rows += weighted(used, source.weight, f"{source.path}/{seed}")
        made.reports.append(report)
    return made


def encode(messages: Sequence[Message], chat: ChatFormat, max_length: int) -> TokenRow:
    """Return the tokens of a conversation, with labels on its replies and their stop tokens.

    Raises:
        BadRow: a reply spells a special token or one the tokenizer lacks, the template refuses the
            conversation, or it is too long.
    """
    opening = conversation_formats.first_reply(messages)
    for message in messages[opening:]:
        if message["role"] == "assistant" and chat.template.spells_special(message["content"]):
            raise BadRow("a reply that spells a special token")
    try:
        ids, mask = chat.conversation(messages, opening)
    except UserError:
        raise BadRow("refused by the chat template") from None
    if len(ids) > max_length:
        raise BadRow(f"longer than {max_length:,} tokens")
    labels = [token if on else IGNORED for token, on in zip(ids, mask, strict=True)]
    unknown = chat.tokenizer.unk_token_id
    if unknown is not None and unknown in labels:
        raise BadRow("a reply with a character that the tokenizer lacks")
    return {"input_ids": ids, "labels": labels}


def is_held_out(messages: Sequence[Message], share: float) -> bool:
    """Return whether a conversation is held out, by a hash of what comes before its first reply."""
    asked = json.dumps(list(messages[: conversation_formats.first_reply(messages)]), sort_keys=True)
    return int(hashlib.sha256(asked.encode()).hexdigest()[:15], 16) < share * 16**15


def weighted(rows: Sequence[TokenRow], weight: float, seed: str) -> list[TokenRow]:
    """Return each row `weight` times; of what is left over, a random share of the rows once."""
    whole = int(weight)
    rest = round((weight - whole) * len(rows))
    return [*list(rows) * whole, *random.Random(seed).sample(list(rows), rest)]


def from_texts(
    texts: Iterable[str], tokenizer: Any, *, length: int, tokens: int, seed: int
) -> list[TokenRow]:
    """Cut texts into rows that are learned whole, as in pretraining.

    Args:
        texts: documents; they can't spell a special token.
        tokenizer: its begin token, if it has one, opens each document.
        length: the most tokens of a row.
        tokens: how many to take, in whole rows, from random places; all if there are fewer.
        seed: decides which.

    Returns:
        Rows with `input_ids` and `labels`; the first token of a row has no label.
    """
    begin = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    pieces: list[list[int]] = []
    encoded = tokenizer(
        list(texts), add_special_tokens=False, split_special_tokens=True, verbose=False
    )
    for ids in encoded["input_ids"]:
        document = [*begin, *ids]
        pieces += [document[n : n + length] for n in range(0, len(document), length)]
    pieces = [piece for piece in pieces if len(piece) > 1]
    random.Random(f"texts/{seed}").shuffle(pieces)
    rows, taken = [], 0
    for piece in pieces:
        if taken >= tokens:
            break
        rows.append({"input_ids": piece, "labels": [IGNORED, *piece[1:]]})
        taken += len(piece)
    return rows
