"""Preference data for the stages that learn from comparisons."""
