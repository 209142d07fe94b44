"""What is learned from: conversation formats, preferences, decontamination, the text pipeline."""
