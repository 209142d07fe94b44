"""Fenced code blocks, as in CommonMark."""

from __future__ import annotations

from rlenv.parsing.match import Match, Span, last

_ALIASES = {
    "python": {"python", "py", "python3"},
    "javascript": {"javascript", "js"},
    "bash": {"bash", "sh", "shell"},
    "cpp": {"cpp", "c++"},
}


def code(reply: str, language: str | None = None) -> Match | None:
    r"""Find the last closed fenced code block.

    A fence is a line of three or more backticks or tildes, and closes at a line of at least as
    many of the same. What looks like a shorter fence inside is content.

    Args:
        reply: a policy's whole reply.
        language: leave out blocks that are labelled as another language; a block without a label
            counts.

    Example:
        >>> code("```python\nprint(1)\n```", "python").text
        'print(1)'
    """
    accepted = None
    if language is not None:
        accepted = {"", language.lower(), *_ALIASES.get(language.lower(), ())}
    spans: list[Span] = []
    fence = ""  # what opened the block we are in
    label = ""
    content = 0
    position = 0
    for line in reply.split("\n"):
        mark = _fence(line)
        if fence:
            if mark[:1] == fence[0] and len(mark) >= len(fence) and line.strip() == mark:
                if accepted is None or label in accepted:
                    spans.append((content, max(content, position - 1)))
                fence = ""
        elif mark and "`" not in (info := line.strip()[len(mark) :]):
            fence, content = mark, position + len(line) + 1
            label = info.split()[0].lower() if info.split() else ""
        position += len(line) + 1
    return last(reply, spans, "fence", ["unclosed"] if fence else [])


def _fence(line: str) -> str:
    """Return the run of backticks or tildes that a line begins with, or an empty string."""
    text = line.lstrip(" ")
    if len(line) - len(text) > 3 or text[:3] not in ("```", "~~~"):
        return ""
    return text[: len(text) - len(text.lstrip(text[0]))]
