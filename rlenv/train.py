"""`python -m rlenv.train CONFIG` carries out the run that a YAML file describes."""

from rlenv.common.door import run


def main() -> int:
    """Import the command and run it; returns its exit code."""
    from rlenv.cli import train

    return train.main()


if __name__ == "__main__":
    run(main)
