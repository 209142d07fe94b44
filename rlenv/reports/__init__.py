"""Pages with charts and samples, each one file that needs nothing else."""
