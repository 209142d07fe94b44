"""How a policy produces tokens: one file an engine, behind the contract in `base`."""
