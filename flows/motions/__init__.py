"""What carries a trajectory of a norm flow: exact segments, partial minimisers, Runge-Kutta with an algebraic part."""
