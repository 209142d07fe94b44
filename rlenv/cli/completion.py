"""Completion of what is typed in a shell: `rlenv completion bash`.

The script holds all names itself, so that a press of Tab starts no Python. It is made from the
parsers of the commands, and so needs no package; made again, it knows of new environments.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from rlenv.cli.options import CommandParser, of_commands
from rlenv.common.errors import main_guard
from rlenv.common.terminal import say
from rlenv.core import registry
from rlenv.core.task import SPLITS

# what may follow an option
_VALUES = {"--split": SPLITS, "--device": ("auto", "cpu", "cuda")}
_SHELLS = {
    "bash": 'eval "$(rlenv completion bash)" in ~/.bashrc',
    "zsh": 'eval "$(rlenv completion zsh)" in ~/.zshrc',
    "fish": "rlenv completion fish | source in ~/.config/fish/config.fish",
}


def parser() -> CommandParser:
    """Return the command line's parser."""
    made = CommandParser(
        prog="rlenv completion",
        description="Print a script that lets a shell complete commands, options and "
        f"environments. Load it where the shell begins: {'; '.join(_SHELLS.values())}.",
    )
    made.add_argument("shell", choices=list(_SHELLS))
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run `rlenv completion SHELL`; returns its exit code."""
    arguments = parser().parse_args(argv)

    def write() -> None:
        say(script(arguments.shell).removesuffix("\n"))

    return main_guard(write)


def script(shell: str) -> str:
    """Return the script for a shell.

    Args:
        shell: `bash`, `zsh` or `fish`.
    """
    from rlenv.cli.main import COMMANDS

    found: dict[str, CompletionWords] = defaultdict(CompletionWords)
    for name, one in of_commands(COMMANDS):
        found[name].add(one)
    about = {name: what for name, (_, what) in COMMANDS.items()}
    made = _fish(about, found) if shell == "fish" else _bash(list(about), found)
    return f"autoload -U +X bashcompinit && bashcompinit\n{made}" if shell == "zsh" else made


class CompletionWords:
    """What may follow a command: its options, and words such as subcommands and environments."""

    def __init__(self) -> None:
        self.options: list[str] = []
        self.words: list[str] = []

    def add(self, parser: CommandParser) -> None:
        """Take in a parser of the command."""
        self.options = list(dict.fromkeys([*self.options, *parser.options()]))
        plain = [action for action in parser._actions if not action.option_strings]
        for action in plain:
            self.words += [str(choice) for choice in action.choices or ()]
            if action.dest == "env":
                self.words += registry.registered()


def _bash(commands: Sequence[str], found: dict[str, CompletionWords]) -> str:
    values = "".join(
        f"        {option}) words={_quoted(words)} ;;\n" for option, words in _VALUES.items()
    )
    cases = "".join(
        f"        {name}) words={_quoted(words.words)} options={_quoted(words.options)} ;;\n"
        for name, words in found.items()
    )
    return f"""_rlenv() {{
    local word="${{COMP_WORDS[COMP_CWORD]}}" words="" options=""
    COMPREPLY=()
    if (( COMP_CWORD == 1 )); then
        COMPREPLY=( $(compgen -W {_quoted(commands)} -- "$word") )
        return
    fi
    case "${{COMP_WORDS[1]}}" in
{cases}    esac
    case "${{COMP_WORDS[COMP_CWORD-1]}}" in
{values}    esac
    if [[ "$word" == -* ]]; then words="$options"; fi
    COMPREPLY=( $(compgen -W "$words" -- "$word") )
}}
complete -o bashdefault -o default -F _rlenv rlenv
"""


def _fish(about: dict[str, str], found: dict[str, CompletionWords]) -> str:
    lines = [
        f"complete -c rlenv -n __fish_use_subcommand -f -a {name} -d {_quoted([what])}"
        for name, what in about.items()
    ]
    for name, words in found.items():
        when = f"complete -c rlenv -n '__fish_seen_subcommand_from {name}'"
        if words.words:
            lines.append(f"{when} -a {_quoted(words.words)}")
        for option in words.options:
            values = f" -x -a {_quoted(_VALUES[option])}" if option in _VALUES else ""
            lines.append(f"{when} -l {option[2:]}{values}")
    return "\n".join(lines) + "\n"


def _quoted(words: Iterable[str]) -> str:
    """Return words as one word of a shell."""
    return "'" + " ".join(words).replace("'", "") + "'"
