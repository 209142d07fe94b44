"""Carrying out a run: stage after stage, then the evaluation of every checkpoint."""
