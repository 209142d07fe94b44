"""Charts as SVG that needs nothing else."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

COLOURS = ("#2f6fb2", "#d1762a", "#3f8f5f", "#8a5aa8", "#b3362b")


def line_chart(series: Mapping[str, tuple[Sequence[float], Sequence[float]]], title: str) -> str:
    """Draw curves over steps as an SVG element.

    Args:
        series: label to (steps, values).
        title: shown above.
    """

    def draw(axes: Any) -> None:
        for colour, (label, (steps, values)) in zip(
            COLOURS * len(series), series.items(), strict=False
        ):
            few = len(steps) <= 30
            axes.plot(
                steps,
                values,
                color=colour,
                linewidth=1.4,
                marker="o" if few else None,
                markersize=3,
                label=label,
            )
        if len(series) > 1:
            axes.legend(frameon=False, fontsize=7)

    return chart(title, "step", draw)


def chart(title: str, below: str, draw: Callable[[Any], None]) -> str:
    """Draw a chart as an SVG element.

    Args:
        title: shown above.
        below: the label of the horizontal axis.
        draw: draws into matplotlib axes.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    # text stays text, and the file does not change from one writing to the next
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "rlenv", "font.size": 8}):
        figure = Figure(figsize=(4.2, 2.4), layout="constrained")
        canvas: Any = FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        axes.set_title(title, fontsize=9, loc="left")
        draw(axes)
        axes.set_xlabel(below, fontsize=8)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", linewidth=0.4, alpha=0.6)
        written = io.StringIO()
        canvas.print_svg(written, metadata={"Date": None})
    text = written.getvalue()
    return text[text.index("<svg") :]
