"""Systems with a smooth field on each side of switching surfaces, and the motion through them."""
