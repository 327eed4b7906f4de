"""Files: trajectories as arrays, written whole or not at all, with a fingerprint of their input."""
