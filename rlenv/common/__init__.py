"""What everybody stands on: errors, settings, files written whole, signals, the terminal."""
