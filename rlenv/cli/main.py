"""The `rlenv` command and its subcommands."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from rlenv.common.errors import did_you_mean, main_guard
from rlenv.common.terminal import complain, say
from rlenv.common.version import __version__

# command -> the module that carries it out, and what it does
COMMANDS = {
    "train": ("rlenv.cli.train", "carry out the run that a YAML file describes"),
    "plan": (
        "rlenv.cli.plan",
        "say what model and how much text a compute budget is best spent on",
    ),
    "eval": ("rlenv.cli.eval", "evaluate a checkpoint on held-out tasks"),
    "rescore": ("rlenv.cli.rescore", "grade the samples of an evaluation again"),
    "report": ("rlenv.cli.report", "write a page on one evaluation, or on several"),
    "probe": ("rlenv.cli.probe", "look for rewards earned for the wrong reason"),
    "redteam": ("rlenv.cli.redteam", "measure refusals of what is harmful, and of what is not"),
    "contamination": ("rlenv.cli.contamination", "say which held-out tasks occur in training text"),
    "data": ("rlenv.cli.data", "clean training text, or look into it"),
    "next": ("rlenv.cli.next_token", "show which tokens a checkpoint thinks come next"),
    "synthesize": ("rlenv.cli.synthesize", "write conversations of a teacher to fine-tune on"),
    "compare": ("rlenv.cli.compare", "compare two evaluations, or the answers of checkpoints"),
    "bits": ("rlenv.cli.bits_per_byte", "measure bits per byte beside n-grams and gzip"),
    "view": ("rlenv.cli.view", "page through the episodes that a run has kept"),
    "list": ("rlenv.cli.list_envs", "list the environments"),
    "show": ("rlenv.cli.show", "show an environment's tasks, sizes and reward"),
    "check": ("rlenv.cli.check", "check whether an environment can be trusted"),
    "init": ("rlenv.cli.init", "write a package with an environment to start from"),
    "play": ("rlenv.cli.play", "play an episode, or watch a checkpoint play one"),
    "doctor": ("rlenv.cli.doctor", "say what this machine can do, for a bug report"),
    "completion": ("rlenv.cli.completion", "print a script that lets a shell complete commands"),
}

_GREETING = """rlenv trains language models against rewards that can be checked. Five things to do:

  watch a policy learn     rlenv train configs/quickstart.yaml
  evaluate a checkpoint    rlenv eval runs/quickstart/grpo rlenv/Arithmetic-v0
  play an environment      rlenv play rlenv/Wordle-v0
  write one of your own    rlenv init my-env, and rlenv check says whether it can be trusted
  ask for help             rlenv doctor says what this machine can do

rlenv --help lists all commands."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run `rlenv COMMAND ...`; returns its exit code.

    Args:
        argv: the words after `rlenv`; those of the process if left out.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if not words:
        return main_guard(lambda: say(_GREETING))
    if words[0] in ("-h", "--help"):
        say("usage: rlenv COMMAND ...\n")
        for name, (_, what) in COMMANDS.items():
            say(f"  {name:<14} {what}")
        say("\nrlenv COMMAND --help says more. rlenv --version names the version.")
        return 0
    if words[0] in ("-V", "--version"):
        say(f"rlenv {__version__}")
        return 0
    if words[0] not in COMMANDS:
        complain(
            f"error: there is no command {words[0]!r}; there are {', '.join(COMMANDS)}."
            f"{did_you_mean(words[0], COMMANDS)}"
        )
        return 2
    module = COMMANDS[words[0]][0]
    # a command whose module can't be imported without an extra says so like any other
    return main_guard(lambda: importlib.import_module(module).main(words[1:]))


if __name__ == "__main__":
    sys.exit(main())
