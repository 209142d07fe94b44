"""Five things for rlenv, one module each."""
