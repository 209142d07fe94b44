"""Models that are asked for a verdict, and how they are talked to."""
