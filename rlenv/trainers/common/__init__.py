"""What several trainers share: checkpointing, optimizers, adapters, freezing, validation."""
