"""What a run shows: a plan, progress with the time left, episodes as they are, a table."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import rich.console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from rlenv.common.console import Console
from rlenv.common.verdicts import COLOURS, scored, shorten, verdict

# metric -> label and format, in the order shown
SHOWN = {
    "loss": ("loss", "{:.3f}"),
    "expert_kl": ("KL from expert", "{:.3f}"),
    "mean_token_accuracy": ("accuracy", "{:.2f}"),
    "rewards/accuracies": ("accuracy", "{:.2f}"),
    "held_out/accuracy": ("held-out accuracy", "{:.2f}"),
    "held_out/rewards/accuracies": ("held-out accuracy", "{:.2f}"),
    "reward": ("reward", "{:.2f}"),
    "held_out/loss": ("held-out loss", "{:.3f}"),
    "held_out/reward": ("held-out", "{:.2f}"),
    "kl": ("KL", "{:.3f}"),
    "entropy": ("entropy", "{:.2f}"),
    "tokens_per_second": ("tok/s", "{:,.0f}"),
    "megabytes_per_second": ("MB/s", "{:.1f}"),
}


def _clock(seconds: float) -> str:
    return f"{int(seconds // 60)}:{int(seconds % 60):02d}"


def quieten_transformers() -> None:
    """Keep what transformers says of its own work off the screen of a command."""
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()


class Display:
    """The screen of a run: live on a terminal, plain lines in a pipe.

    Args:
        console: where to write; by default standard output.
        quiet: write nothing.
        wrap: keep tables within the width of the screen.
    """

    def __init__(
        self,
        console: rich.console.Console | None = None,
        *,
        quiet: bool = False,
        wrap: bool = False,
    ) -> None:
        self.console = console or Console(soft_wrap=not wrap, quiet=quiet)
        self._live: Live | None = None
        self._stage = ""
        self._total = 1
        self._first: int | None = None
        self._latest: dict[str, float] = {}
        self._begun = self._started = self._printed = 0.0

    def say(self, text: str) -> None:
        """Print a line."""
        self.console.print(Text(text))

    def message(self, role: str, content: str, styled: Text | None = None) -> None:
        """Print what somebody said.

        Args:
            role: who.
            content: the text.
            styled: how it looks where there are colours.
        """
        if styled is None or self.console.color_system is None or self.console.no_color:
            self.say(f"{role}: {content}")
        else:
            self.console.print(Text.assemble(f"{role}: ", styled))

    def table(self, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print a table without lines, the first column bold."""
        table = Table(box=None, padding=(0, 3, 0, 0), header_style="dim")
        for name in header:
            table.add_column(Text(name), overflow="fold")
        for row in rows:
            table.add_row(Text(row[0], style="bold"), *map(Text, row[1:]))
        self.console.print(table)

    def begin(self, stage: str, total: int) -> None:
        """Begin a stage of so many steps."""
        self._stage, self._total, self._first, self._latest = stage, total, None, {}
        self._begun = self._started = self._printed = time.monotonic()
        if self.console.is_terminal and not self.console.quiet:
            self._live = Live(self._line(0), console=self.console, refresh_per_second=4)
            self._live.start()

    def expect(self, total: int) -> None:
        """Correct how many steps the stage has, once that is known."""
        self._total = total

    def prepare(self, what: str, done: int, total: int) -> None:
        """Show how far the work before the first step is, such as making data.

        Args:
            what: is made.
            done: of it.
            total: of it.
        """
        now = time.monotonic()
        spent = now - self._begun
        left = spent / done * (total - done) if done else 0.0
        words = f"{what} {done:,}/{total:,}  {_clock(left)} left"
        if self._live is not None:
            self._live.update(Text(f"{self._stage:<9} {words}"))
        elif now - self._printed > 5:
            self._printed = now
            self.say(f"{self._stage:<9} {words}")

    def update(self, step: int, metrics: Mapping[str, float]) -> None:
        """Show progress.

        Args:
            step: steps done.
            metrics: those of `SHOWN` are shown; older values stay until replaced.
        """
        if self._first is None:  # a resumed stage does not begin at 0
            self._first, self._started = step, time.monotonic()
        self._latest.update({name: metrics[name] for name in SHOWN if name in metrics})
        now = time.monotonic()
        if self._live is not None:
            self._live.update(self._line(step))
        elif now - self._printed > 5 or step == self._total:
            self._printed = now
            self.say(f"{self._stage:<9} step {step}/{self._total}  {self._rest(step)}")

    def end(self) -> None:
        """End the stage; the last state of its line stays."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def episodes(self, episodes: Sequence[Mapping[str, Any]], most: int = 2) -> None:
        """Print some episodes as they are: question, reply, verdict."""
        for episode in episodes[:most]:
            reply = str(episode["reply"]).replace("\n", "\\n")
            value, status = episode["reward"], episode["status"]
            word = episode.get("verdict") or verdict(value, status)
            self.console.print(
                Text.assemble(
                    (f"          {shorten(str(episode['prompt']), 60)}", "dim"),
                    f"  ->  {shorten(reply, 80)}   ",
                    (scored(value, status, word), COLOURS.get(word, "dim")),
                )
            )

    def _rest(self, step: int) -> str:
        done = step - (self._first or 0)
        spent = time.monotonic() - self._started
        parts = []
        if done > 0 and step < self._total:
            left = spent / done * (self._total - step)
            parts.append(f"{_clock(left)} left")
        elif step >= self._total:
            parts.append(f"{time.monotonic() - self._begun:.0f} s")
        parts += [
            f"{label} {form.format(self._latest[name])}"
            for name, (label, form) in SHOWN.items()
            if name in self._latest
        ]
        return "   ".join(parts)

    def _line(self, step: int) -> Table:
        grid = Table.grid(padding=(0, 1))
        bar = ProgressBar(total=self._total, completed=step, width=24)
        grid.add_row(
            Text(f"{self._stage:<9}", style="bold"),
            Text(f"step {step}/{self._total}"),
            bar,
            Text(self._rest(step)),
        )
        return grid
