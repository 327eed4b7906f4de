"""
A gene network that slides on two thresholds
============================================

Two genes repress themselves at a threshold 1, and a third is made only where both are present. The state reaches
one threshold, then the other, and stays on both, a set of codimension 2. There the convex hull of the four fields holds
a whole family of velocities: which one is taken is a choice of model.
"""

import matplotlib.pyplot as plt
import numpy as np

from discretizers.experiments.drawing import show_if_asked
from filippov import PiecewiseSmooth, solve

MADE = {(-1, -1): (3, 2, 0), (-1, 1): (2, 0, 0), (1, -1): (0, 4, 0), (1, 1): (0, 0, 4)}


def network(selection):
    """Return x' = made(signs of x1 - 1, x2 - 1) - x."""
    fields = {signs: (lambda t, x, made=made: made - x) for signs, made in MADE.items()}
    return PiecewiseSmooth(
        lambda t, x: x[:2] - 1.0, fields, jac=lambda t, x: np.eye(2, 3), selection=selection
    )


figure, axes = plt.subplots(1, 2, figsize=(10.0, 4.2), layout="constrained")
t = np.linspace(0, 4, 400)
for selection, colour in (("multilinear", "#0072B2"), ("moments", "#E69F00"), ("hull-least-norm", "#009E73")):
    path = solve(network(selection), (0, 4), [0.2, 0.1, 0.0])
    axes[1].plot(t, path.sol(t)[2], color=colour, linewidth=2, label=selection)
    print(f"{selection:16} x3(4) = {path.y[2, -1]:.9f}, switches:", end=" ")
    print([(s.kind, round(s.t, 9), s.codimension) for s in path.switches])
    if selection == "multilinear":
        axes[0].plot(t, path.sol(t)[0], color="#0072B2", linewidth=2, label="x1")
        axes[0].plot(t, path.sol(t)[1], color="#D55E00", linewidth=2, label="x2")
axes[0].set(xlabel="t", title="both thresholds are reached, then held")
axes[0].legend()
axes[1].set(xlabel="t", ylabel="x3", title="the third gene depends on the selection")
axes[1].legend()

# %%
# Known: x1 reaches 1 at ln(2.8/2). On x1 = 1 the share of x1 > 1 is 2/3, so x2' = 10/3 - x2, which reaches 1
# after ln((10/3 - x2)/(7/3)). Multilinear shares a, b on the corner solve (1 - a)(3 - b) = 1, (1 - b)(2 + 2 a) = 1.

first = np.log(2.8 / 2.0)
x2 = 2.0 - 1.9 * np.exp(-first)
second = first + np.log((10 / 3 - x2) / (7 / 3))
print(f"closed form: switches at {first:.9f} and {second:.9f}")
a = np.roots([4.0, 3.0, -3.0]).max()  # b eliminated: 4 a^2 + 3 a - 3 = 0
b = 1 - 1 / (2 + 2 * a)
print(f"shares a = {a:.9f}, b = {b:.9f}; check (1 - a)(3 - b) = {(1 - a) * (3 - b):.12f}")
print(f"closed form x3(4) = {4 * a * b * (1 - np.exp(-(4 - second))):.9f}")
show_if_asked()
