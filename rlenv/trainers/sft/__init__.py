"""Supervised fine-tuning: what conversations look like, their tokens, and the training itself."""
