"""A mutation run over the core of reinforcement learning, see `benchmarks.mutation.__main__`."""
