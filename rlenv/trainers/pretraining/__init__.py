"""Pretraining: mixtures of documents, packed rows, objectives, and what is measured on the way."""
