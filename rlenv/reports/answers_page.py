"""Answers side by side, as a Markdown table or as a page."""

from __future__ import annotations

import html

from rlenv.evaluation.side_by_side import SideBySide
from rlenv.reports.pages import page, table, text


def markdown(made: SideBySide) -> str:
    """Return a comparison as a Markdown table."""

    def cell(text: str) -> str:
        # HTML is escaped too: Markdown lets it through
        return html.escape(text, quote=False).replace("|", "\\|").replace("\n", "<br>")

    lines = [made.columns(), ["---"] * len(made.columns()), *made.rows()]
    return "".join(f"| {' | '.join(map(cell, line))} |\n" for line in lines)


def answers_page(made: SideBySide) -> str:
    """Return answers side by side as a self-contained HTML page."""
    rows = [[text(cell) for cell in row] for row in made.rows()]
    return page("Answers side by side", [table(made.columns(), rows)])
