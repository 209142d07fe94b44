"""Where training text comes from, and what is kept out of it."""
