"""Pages as HTML, each a file of its own that needs nothing else, and what they are built of."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from importlib import resources
from typing import Any


def page(title: str, parts: Iterable[str], *, heading: str | None = None, below: str = "") -> str:
    """Return a self-contained HTML page.

    Args:
        title: the page's title, as text.
        parts: its content, as HTML.
        heading: what stands at its top, as text; the title if left out.
        below: a line under the heading, as text.
    """
    style = resources.files("rlenv.reports").joinpath("report.css").read_text("utf-8")
    top = f"<h1>{escape(title if heading is None else heading)}</h1>"
    if below:
        top += f'<p class="sub">{escape(below)}</p>'
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{style}</style></head>"
        f"<body><main>{top}{''.join(parts)}</main></body></html>\n"
    )


def section(heading: str, *parts: str) -> str:
    """Return a part of a page under a heading, which is text; nothing where the part is empty."""
    content = "".join(parts)
    return f"<h2>{escape(heading)}</h2>{content}" if content else ""


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table.

    Args:
        header: the names of its columns, as text.
        rows: the cells, each made by `plain`, `number` or `text`.
    """
    head = "".join(f"<th>{escape(name)}</th>" for name in header)
    body = "".join(f"<tr>{''.join(cells)}</tr>" for cells in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def plain(value: Any) -> str:
    """Return a cell of a table."""
    return f"<td>{escape(value)}</td>"


def number(value: Any) -> str:
    """Return a cell of a table that holds a figure, which is not broken over lines."""
    return f'<td class="number">{escape(value)}</td>'


def text(value: Any, solved: bool | None = None, *, after: str = "") -> str:
    """Return a cell of a table that holds a prompt or a reply as it is.

    Args:
        value: the text.
        solved: colours a reply by whether it is right; None for no colour.
        after: the text it goes on from, printed bold.
    """
    colour = "" if solved is None else " solved" if solved else " missed"
    bold = f"<b>{escape(after)}</b>" if after else ""
    return f'<td class="text{colour}">{bold}{escape(value)}</td>'


def chart_grid(charts: Iterable[str]) -> str:
    """Return charts, which are SVG, side by side; nothing where there is none."""
    figures = "".join(f"<figure>{svg}</figure>" for svg in charts)
    return f'<div class="charts">{figures}</div>' if figures else ""


def escape(value: Any) -> str:
    """Return text as HTML."""
    return html.escape(str(value))
