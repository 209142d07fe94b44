"""Text that stays text: what a message says can't become a special token or open a turn.

A chat template renders a conversation into one string, in which the special tokens that it writes
look like those that a message spells. So each spelling in a message is held back behind a mark
before the template sees it; once the string is tokenized, the spelling's own characters stand in
the mark's place. Text that spells nothing of the kind is tokenized as it always was.

Some templates mark turns with words alone, such as `[INST]` or `### Response:`, which no tokenizer
can tell from a text. Those are taken apart by a space.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

# no character of either kind stands in a text: Unicode keeps them for a program's own use, and
# those that a text holds all the same are held back like a spelling
_OPEN, _CLOSE = "\ufdd0", "\ufdd1"
_MARK = re.compile(f"{_OPEN}(\\d+){_CLOSE}")
REPLY = f"{_OPEN}reply{_CLOSE}"  # stands for a reply while the text around it is rendered
_REMEMBERED = 50_000
_TAG = re.compile(r"<\|[^|<>\s]+\|>|</?[^<>\s]+>|\[/?[^\[\]\s]+\]")


class SpecialTokens:
    """The special tokens of a tokenizer, and how to read a text without them.

    Args:
        tokenizer: of transformers.

    Attributes:
        ids: of the special tokens.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._encoded: dict[str, list[int]] = {}  # prompts come again and again
        added = tokenizer.added_tokens_decoder.items()
        self.ids: set[int] = {*tokenizer.all_special_ids, *(i for i, t in added if t.special)}
        self._forgeable = self.ids - {tokenizer.unk_token_id}  # any text may hold what is unknown
        texts = list(filter(None, tokenizer.convert_ids_to_tokens(sorted(self.ids))))
        texts.sort(key=len, reverse=True)
        self.pattern = re.compile("|".join(map(re.escape, texts)) or r"\Z.")
        self._held = re.compile("|".join([*map(re.escape, texts), f"[{_OPEN}{_CLOSE}]"]))
        # a normalizer may make a special token of what is not spelled like one
        backend = getattr(tokenizer, "backend_tokenizer", None)
        self._normalizes = getattr(backend, "normalizer", None) is not None

    def hold(self, text: str, held: list[str]) -> str:
        """Put marks in place of the special tokens that a text spells.

        Args:
            text: any.
            held: what the marks stand for is appended here.
        """

        def mark(spelled: str) -> str:
            held.append(spelled)
            return f"{_OPEN}{len(held) - 1}{_CLOSE}"

        marked = self._held.sub(lambda found: mark(found[0]), text)
        if not self._normalizes:
            return marked
        return "".join(
            f"{_OPEN}{piece}{_CLOSE}"
            if n % 2
            else piece
            if self._forgeable.isdisjoint(self._rendered(piece))
            else mark(piece)
            for n, piece in enumerate(_MARK.split(marked))
        )

    def encode(self, text: str, held: list[str]) -> list[int]:
        """Return the tokens of a rendered text, in which marks stand for what was held back."""
        ids: list[int] = []
        for n, piece in enumerate(_MARK.split(text)):
            ids += self._plain(held[int(piece)]) if n % 2 else self._rendered(piece)
        return ids

    def encode_text(self, text: str) -> list[int]:
        """Return the tokens of a text, none of which is a special one for what the text spells."""
        held: list[str] = []
        return self.encode(self.hold(text, held), held)

    def _plain(self, spelled: str) -> list[int]:
        ids = self._ids(spelled, split_special_tokens=True)
        if self._forgeable.isdisjoint(ids):
            return ids
        # a vocabulary that holds the token as a word, too: its characters one by one
        letters = (t for c in spelled for t in self._ids(c, split_special_tokens=True))
        return [token for token in letters if token not in self._forgeable]

    def _rendered(self, piece: str) -> list[int]:
        ids = self._encoded.get(piece)
        if ids is None:
            ids = self._ids(piece) if piece else []
            if len(self._encoded) < _REMEMBERED:
                self._encoded[piece] = ids
        return ids

    def _ids(self, text: str, **how: bool) -> list[int]:
        ids: list[int] = self._tokenizer(text, add_special_tokens=False, **how)["input_ids"]
        return ids


def each_text(value: Any, change: Callable[[str], str]) -> Any:
    """Return plain values, such as a tool's schema, with each text in them changed."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {change(str(name)): each_text(one, change) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [each_text(one, change) for one in value]
    return value


def take_apart(marks: re.Pattern[str], text: str) -> str:
    """Put a space into each of the marks that a text spells."""
    return marks.sub(lambda found: f"{found[0][0]} {found[0][1:]}", text)


def turn_marks(between: Iterable[str], special: re.Pattern[str]) -> re.Pattern[str]:
    """Return what finds the words by which a template marks turns.

    Tags such as `[/INST]` and `<tool_response>` count wherever they stand. Words such as `User:`
    count at the beginning of a line, and only where no special token marks the turn. The tags of
    thinking are no marks: prompts ask for them, and replies hold them.

    Args:
        between: the texts that the template puts between messages.
        special: finds special tokens.
    """
    tags: dict[str, None] = {}
    words: dict[str, None] = {}
    for text in between:
        lines = [line.strip() for line in special.sub("\n", text).split("\n")]
        found = [tag for line in lines for tag in _TAG.findall(line) if "think" not in tag]
        tags.update(dict.fromkeys(found))
        if not found and special.search(text) is None:
            words.update(dict.fromkeys(line for line in lines if re.search(r"\w", line)))
    ends = [re.escape(word) + ("$" if word[-1].isalnum() else "") for word in words]
    every = [*map(re.escape, tags), *(f"^{end}" for end in ends)]
    return re.compile("|".join(every) or r"\Z.", re.MULTILINE)
