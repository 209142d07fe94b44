"""`python -m rlenv.eval MODEL ENV` evaluates a model on held-out tasks."""

from rlenv.common.door import run


def main() -> int:
    """Import the command and run it; returns its exit code."""
    from rlenv.cli import eval

    return eval.main()


if __name__ == "__main__":
    run(main)
