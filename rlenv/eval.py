"""`python -m rlenv.eval MODEL ENV` evaluates a model on held-out tasks."""

from rlenv.cli.eval import main

if __name__ == "__main__":
    raise SystemExit(main())
