"""Cleaning training text, and looking into it: `rlenv data run` and `rlenv data inspect`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlenv.cli.options import CommandParser, add_json, add_seed, add_show
from rlenv.cli.values import at_least
from rlenv.common.errors import main_guard
from rlenv.common.extras import pip_install
from rlenv.common.terminal import say_json

if TYPE_CHECKING:
    from rlenv.common.display import Display
    from rlenv.data.pipeline.inspection import Inspection


def parser() -> CommandParser:
    """Return the command line's parser."""
    made = CommandParser(prog="rlenv data", description="Clean training text, and look into it.")
    commands = made.add_subparsers(dest="command", required=True, metavar="run|inspect")
    run = commands.add_parser(
        "run",
        help="carry out the text pipeline that a YAML file describes",
        description="Carry out the steps of a text pipeline. The same command again goes on where "
        "it stopped.",
    )
    run.add_argument("config", help="a YAML file, such as configs/text.yaml")
    run.add_argument(
        "overrides",
        nargs="*",
        metavar="key=value",
        help="replace a setting, such as processes=1 or steps.minhash.bands=20",
    )
    inspect = commands.add_parser(
        "inspect",
        help="show samples, lengths, languages, duplicates, and what each rule would drop",
        description="Show what a corpus holds, and what each rule alone would drop of it.",
    )
    made.renamed = {"--text": "--column", "--samples": "--show"}
    inspect.add_argument("path", help="a file, a folder, or the id of a data set")
    inspect.add_argument("--config", help="take the steps and their settings from this YAML file")
    inspect.add_argument("--column", default="text", help="the column of the text (default: text)")
    inspect.add_argument("--cut", type=int, metavar="N", help="cut texts into so many characters")
    inspect.add_argument("--limit", type=int, default=10_000, help="look at so many documents")
    add_show(inspect, "documents", 3)
    add_seed(inspect, of="decides which are shown")
    add_json(inspect)
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    arguments = parser().parse_args(argv)
    commands = {"run": _run, "inspect": _inspect}
    return main_guard(lambda: commands[arguments.command](arguments))


def _run(arguments: argparse.Namespace) -> None:
    from rlenv.common.display import Display
    from rlenv.data.pipeline import pipeline, settings

    path = Path(arguments.config)
    found = settings.read(path, arguments.overrides)
    display = Display()
    display.say(f"rlenv data run  {path}  ->  {found.out}\n")
    _show_report(pipeline.run(found, display), display)
    display.say(f"\nresult   {found.out}/part-*.jsonl\nreport   {found.out}/report.json")


def _show_report(report: Mapping[str, Any], display: Display) -> None:
    rows = []
    for name, tally in report["steps"].items():
        dropped = sum(tally["dropped"].values())
        counts = {**tally["dropped"], **tally["changed"]}
        most = sorted(counts.items(), key=lambda item: -item[1])
        why = ", ".join(f"{reason} {number:,}" for reason, number in most[:3])
        more = f", and {len(most) - 3} more" if len(most) > 3 else ""
        rows.append([name, f"{tally['documents']:,}", f"{dropped:,}", why + more])
    display.say("")
    display.table(["step", "documents", "dropped", "why, and what was changed"], rows)
    for name, note in report["notes"].items():
        for line in _note(note):
            display.say(f"{name}: {line}")
    documents, characters = report["documents"], report["characters"]
    speed = characters["read"] / 1e6 / max(1e-9, report["seconds"])
    display.say(
        f"\nkept {documents['kept']:,} of {documents['read']:,} documents, "
        f"{characters['kept'] / 1e6:,.1f} of {characters['read'] / 1e6:,.1f} million characters, "
        f"in {report['seconds']:.0f} s ({speed:.1f} million a second)"
    )


def _note(note: Mapping[str, Any]) -> list[str]:
    lines = []
    if "held_out" in note and "classifier" in note:
        held = note["held_out"]
        lines.append(
            f"held-out accuracy {held['accuracy']:.3f}, AUC {held['auc']:.3f} on "
            f"{held['positive']} + {held['negative']} passages ({note['classifier']})"
        )
    elif "held_out" in note:
        texts = sum(note["held_out"].values())
        short = sum(note["too_short"].values())
        lines.append(
            f"looked for {texts:,} texts of {len(note['held_out'])} held-out sets; {short:,} more "
            "were too short to look for"
        )
        lines += [f"left out {name}: {why}" for name, why in note["left_out"].items()]
    return lines


def _inspect(arguments: argparse.Namespace) -> None:
    at_least(1, limit=arguments.limit)
    at_least(0, show=arguments.show)
    from rlenv.common.display import Display
    from rlenv.common.settings import parse
    from rlenv.data.pipeline import settings
    from rlenv.data.pipeline.inspection import inspect
    from rlenv.data.pipeline.sources import InputSettings

    named = {"path": arguments.path, "text": arguments.column, "cut": arguments.cut}
    source = parse(InputSettings, named, "rlenv data inspect", "")
    config = None if arguments.config is None else settings.read(Path(arguments.config))
    found = inspect(
        source, config, limit=arguments.limit, samples=arguments.show, seed=arguments.seed
    )
    if arguments.json:
        say_json(vars(found), indent=1)
    else:
        _show(found, Display())


def _show(found: Inspection, display: Display) -> None:
    count = found.documents
    more = "" if found.complete else ", the first ones; --limit looks at more"
    display.say(f"{count:,} documents, {found.characters:,} characters{more}\n")
    names = list(next(iter(found.lengths.values())))
    display.table(
        ["length", *names],
        [[unit, *(f"{of[name]:,.0f}" for name in names)] for unit, of in found.lengths.items()],
    )
    display.say("")
    display.table(
        ["language", "documents", "share"],
        [[name, f"{n:,}", f"{n / count:.1%}"] for name, n in list(found.languages.items())[:8]]
        or [[f"not looked at: {pip_install('language')}", "", ""]],
    )
    display.say("")
    rows = []
    for name, drops in found.rules.items():
        rows.append([name, f"{drops['documents']:,}", f"{drops['documents'] / count:.1%}", ""])
        rows += [["", f"{n:,}", f"{n / count:.1%}", why] for why, n in drops["reasons"].items()]
    display.table(["each rule alone would drop", "documents", "share", "because of"], rows)
    changes = [
        [name, f"{n:,}", what] for name, of in found.changes.items() for what, n in of.items()
    ]
    if changes:
        display.say("")
        display.table(["each step alone would change", "number", "what"], changes)
    for earlier, later in found.duplicate_pairs:
        display.say(f"duplicates: {later} of {earlier}")
    for name, text in found.samples:
        display.say(f"\n--- {name}\n{text}")


if __name__ == "__main__":
    sys.exit(main())
