"""The one kind of console that rlenv prints tables and colours on."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import rich.console
from rich.console import ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Span, Text

from rlenv.common.terminal import FORBIDDEN, visible


class Console(rich.console.Console):
    """A console on which text stays text.

    Text is printed as it is: `[red]` and `:smile:` mean nothing, and what a terminal would obey is
    spelled out, see `rlenv.common.terminal`. Styles come from `rich.text.Text` alone.

    Args:
        how: see `rich.console.Console`.
    """

    def __init__(self, **how: Any) -> None:
        super().__init__(**{"markup": False, "emoji": False, "highlight": False, **how})

    def render_str(self, text: str, **how: Any) -> Text:
        """See `rich.console.Console.render_str`."""
        return super().render_str(visible(text), **how)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """See `rich.console.Console.render`."""
        if isinstance(renderable, Text) and FORBIDDEN.search(renderable.plain):
            renderable = _clean(renderable)
        for segment in super().render(renderable, options):
            # what rich itself tells the terminal, such as to move the cursor, is a control segment
            if segment.control or not FORBIDDEN.search(segment.text):
                yield segment
            else:
                yield Segment(visible(segment.text), segment.style)


def _clean(text: Text) -> Text:
    """Spell out what a terminal would obey, before lines are broken; styles stay where they are."""
    pieces = [visible(character) for character in text.plain]
    at = [0, *itertools.accumulate(map(len, pieces))]  # where each character now begins
    made = text.blank_copy("".join(pieces))
    last = len(pieces)
    made.spans = [Span(at[min(s.start, last)], at[min(s.end, last)], s.style) for s in text.spans]
    return made
