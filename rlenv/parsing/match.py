"""What a parser found, and the rules for several candidates that all parsers share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Match:
    r"""A part of a reply.

    Attributes:
        text: the content, without the marks around it; always `reply[start:end]`.
        start: index of the content's first character in the reply.
        end: index after the content's last character.
        rule: the form that was recognised, such as `\boxed{}` or `<answer>`.
        problems: what was irregular (`repeated`, `conflicting`, `nested`, `unclosed`,
            `unopened`); empty for a reply that states one thing once.
    """

    text: str
    start: int
    end: int
    rule: str
    problems: tuple[str, ...] = ()

    @property
    def clean(self) -> bool:
        """Whether the form occurs exactly once and is complete."""
        return not self.problems


Span = tuple[int, int]


def pair(marks: Iterable[tuple[str, int, int]]) -> tuple[list[Span], list[str]]:
    """Match openings with closings.

    Args:
        marks: in order, `("open", start, end)`, `("close", start, end)` or `("inner", ...)`;
            the last is an opening that balances closings but is no candidate itself.

    Returns:
        The content spans of closed candidates in order of their openings, and the problems seen.
    """
    stack: list[tuple[str, int]] = []
    waiting = 0  # candidates on the stack
    spans: list[Span] = []
    problems: dict[str, None] = {}
    for kind, start, end in marks:
        if kind != "close":
            if kind == "open":
                if waiting:
                    problems["nested"] = None
                waiting += 1
            stack.append((kind, end))
        elif not stack:
            problems["unopened"] = None
        else:
            opened, content = stack.pop()
            if opened == "open":
                waiting -= 1
                spans.append((content, start))
    if waiting:
        problems["unclosed"] = None
    return sorted(spans), list(problems)


def last(reply: str, spans: Sequence[Span], rule: str, problems: Sequence[str]) -> Match | None:
    """Return the candidate that was opened last, and say how many there were.

    Args:
        reply: the whole reply.
        spans: of the candidates' contents, in order.
        rule: for `Match.rule`.
        problems: seen so far.
    """
    if not spans:
        return None
    # an outer span is no rival of what lies in it, and comparing it would take quadratic time
    rivals = [
        here
        for here, after in zip(spans, [*spans[1:], (len(reply), 0)], strict=True)
        if after[0] >= here[1]
    ]
    more = []
    if len(rivals) > 1:
        same = len({reply[a:b].strip() for a, b in rivals}) == 1
        more = ["repeated" if same else "conflicting"]
    start, end = spans[-1]
    return Match(reply[start:end], start, end, rule, (*more, *problems))
