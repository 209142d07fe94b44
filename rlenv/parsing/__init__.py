r"""Finding the answer in a reply.

`integer` and `boxed` return the bare value. The other parsers return a `Match`: what was found,
where it lies in the reply, and what was irregular about it; None where the reply holds no such
form. `expression` works out a text that is arithmetic and nothing else. All of them take any
string, never raise, and take time linear in its length.

What happens to irregular replies is the same for every delimited form:

==============  =====================================================================
`repeated`      the form occurs several times with one content: the last is returned
`conflicting`   it occurs several times with different contents: the last is returned
`nested`        it lies inside another of its kind: the one opened last is returned
`unclosed`      one is opened and never closed, as in a truncated reply: it does not
                count, and an earlier closed one is returned
`unopened`      a closing mark without its opening: it does not count
==============  =====================================================================

Each leaves its name in `Match.problems`, so a strict grader asks `found is not None and
found.clean`, and a lenient one takes what it gets.
"""

from __future__ import annotations

from rlenv.parsing.boxed import boxed, boxes, hashes, last_boxed
from rlenv.parsing.expressions import Expression, expression
from rlenv.parsing.fences import code
from rlenv.parsing.match import Match
from rlenv.parsing.numbers import integer
from rlenv.parsing.tags import after_thinking, answer, tag, thinking
from rlenv.parsing.tools import ToolCall, tool_calls, write_tool_call

__all__ = [
    "Expression",
    "Match",
    "ToolCall",
    "after_thinking",
    "answer",
    "boxed",
    "boxes",
    "code",
    "expression",
    "hashes",
    "integer",
    "last_boxed",
    "tag",
    "thinking",
    "tool_calls",
    "write_tool_call",
]
