"""Right-hand sides written as text or sympy expressions, read without evaluating anything."""
