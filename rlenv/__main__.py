"""`python -m rlenv` is the `rlenv` command."""

from typing import NoReturn

from rlenv.common.door import run


def main() -> int:
    """Import the command and run it; returns its exit code."""
    from rlenv.cli import main

    return main.main()


def script() -> NoReturn:
    """Be the command that is installed as `rlenv`."""
    run(main)


if __name__ == "__main__":
    script()
