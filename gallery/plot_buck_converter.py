"""
A buck converter under sliding-mode control
===========================================

The switch of a step-down converter closes while s = v - V + lambda v' < 0. From rest the current overshoots, then the
state reaches s = 0 and slides: the output voltage approaches V as exp(-t/lambda), whatever the load does.
"""

import matplotlib.pyplot as plt
import numpy as np

from discretizers.experiments.drawing import show_if_asked
from filippov import PiecewiseAffine, solve

C, L, R, E, V, slope = 1.0, 0.5, 2.0, 4.0, 1.5, 0.5
row = np.array([1.0 - slope / (R * C), slope / C])
# u = Sgn(s): the source is on (E) for u = -1 and off for u = +1.
converter = PiecewiseAffine(
    [[-1 / (R * C), 1 / C], [-1 / L, 0]], [[0], [0.5 * E / L]], [row], b=[0, 0.5 * E / L], d=[-V]
)
path = solve(converter, (0, 5), [0.0, 0.0])

figure, axes = plt.subplots(1, 2, figsize=(10.0, 4.2), layout="constrained")
t = np.linspace(0, 5, 800)
axes[0].plot(t, path.sol(t)[0], color="#0072B2", label="voltage", linewidth=2)
axes[0].plot(t, path.sol(t)[1], color="#E69F00", label="current", linewidth=2)
axes[0].axhline(V, color="0.7", linewidth=0.8)
axes[0].set(xlabel="t")
axes[0].legend()
for segment in path.segments:
    x = segment.state(np.linspace(segment.t0, segment.t1, 200))
    axes[1].plot(*x, color="#D55E00" if segment.sliding else "#0072B2", linewidth=2)
axes[1].set(xlabel="voltage", ylabel="current", title="orange: sliding on s = 0")

# %%
# The switches, and the voltage error on the sliding arc against its closed form:

for switch in path.switches:
    print(f"{switch.kind:14} at t = {switch.t:.12f}, (v, i) = {switch.x}")
entry = path.switches[-1]
late = np.linspace(entry.t, 5, 50)
exact = V + (entry.x[0] - V) * np.exp(-(late - entry.t) / slope)
print(f"largest difference from V + (v0 - V) exp(-t/lambda): {np.max(np.abs(path.sol(late)[0] - exact)):.1e}")

# %%
# The equivalent control is the duty cycle that a fast switch would show; at rest it is V/E.

duty = 0.5 * (1 - (0.5 * E / L - (path.velocity(5.0)[1] + path.sol(5.0)[0] / L)) / (0.5 * E / L))
print(f"duty cycle at the end {duty:.6f}, V/E = {V / E:.6f}")
show_if_asked()
