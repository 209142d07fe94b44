"""Wordle: the environment, its words and feedback, and players for comparison."""
