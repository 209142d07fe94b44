"""The version, and the name under which this package is installed."""

__version__ = "0.1.0"
DISTRIBUTION = "verifiable-rl"  # the import name is rlenv; that name on the index is another's
