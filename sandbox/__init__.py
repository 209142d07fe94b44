"""Run untrusted programs and judge their results outside of their reach."""
