"""`python -m rlenv` is the `rlenv` command."""

from rlenv.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
