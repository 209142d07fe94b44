"""One module for each way of starting a guest."""
