"""What a stage works with: config, stage contract, the run's folder, trackers, processes."""
