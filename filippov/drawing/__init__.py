"""Pictures: trajectories, phase portraits, reports, animations."""
