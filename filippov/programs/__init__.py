"""Quadratic programs: over boxes, solved by pivoting and kept from switch to switch, and nonnegative least squares."""
