"""
Quartic and flat minimisers
===========================

Arrival takes finite time even where the curvature vanishes: the sign flow moves at unit speed, so f = x^4/4 is finished
at t = |x0| just as f = x^2/2 is, while the gradient flow never arrives. Where the minimisers form a line the flow stops
at the first one it meets, which depends on the start.
"""

import matplotlib.pyplot as plt
import numpy as np

from discretizers.experiments.drawing import show_if_asked
from filippov import solve
from flows import GradientFlow, Quadratic, SignFlow, Symbolic

quartic = Symbolic("x**4/4", ["x"])
figure, (left, right) = plt.subplots(1, 2, figsize=(10.0, 4.4), layout="constrained")
times = np.linspace(0, 2, 200)
for flow, colour, name in (
    (SignFlow(quartic), "#0072B2", "sign flow"),
    (GradientFlow(quartic), "#E69F00", "gradient flow"),
):
    path = solve(flow, (0, 2), [0.7])
    left.plot(times, path.sol(times)[0], color=colour, label=name)
    print(f"x^4/4, {name}: arrival {path.arrival_time}, x(2) = {path.sol(2.0)[0]:.6g}")
left.set(xlabel="time $t$", ylabel="$x(t)$", title="f = $x^4/4$ from 0.7")
left.legend()

# %%
# Minimisers that form a line: at each of them both components of the gradient vanish at once, and the flow rests.

valley = SignFlow(Quadratic([[1.0, 1.0], [1.0, 1.0]]))
line = np.array([-1.1, 1.1])
right.plot(line, -line, color="0.6", linewidth=5, alpha=0.5, label="minimisers of $(x_1 + x_2)^2/2$")
for start in ([1.0, 0.5], [0.2, 0.8], [-1.0, -0.2], [-0.3, -0.9]):
    path = solve(valley, (0, 2), start)
    right.plot(*path.y, color="#0072B2")
    right.plot(*path.y[:, 0], "o", color="#0072B2")
    right.plot(*path.y[:, -1], "*", color="#CC79A7", markersize=13)
    print(f"flat, from {start}: arrival at t = {path.arrival_time:.12g} in {path.y[:, -1]}")
right.set(xlabel="$x_1$", ylabel="$x_2$", title="stops at the first minimiser met", aspect="equal")
right.legend()
show_if_asked()
