"""`python -m rlenv.train CONFIG` carries out the run that a YAML file describes."""

from rlenv.cli.train import main

if __name__ == "__main__":
    raise SystemExit(main())
