"""
Two hundred coordinates on one ribbon
=====================================

Which components of the gradient are negative, which positive, and which are held at zero by sliding: a row for each of
200 coordinates. Sliding spreads until every row is green, and that is the arrival at the minimiser.
"""

import matplotlib.pyplot as plt
import numpy as np

from discretizers.experiments.drawing import show_if_asked
from filippov import solve
from filippov.drawing.plotting import mode_ribbon
from flows import Quadratic, SignFlow

n = 200
rng = np.random.default_rng(0)
basis, _ = np.linalg.qr(rng.standard_normal((n, n)))
Q = basis @ np.diag(np.geomspace(1.0, 100.0, n)) @ basis.T
flow = SignFlow(Quadratic(0.5 * (Q + Q.T)))
path = solve(flow, (0, 100), rng.standard_normal(n))

figure, (top, bottom) = plt.subplots(
    2, 1, figsize=(8.4, 7.0), layout="constrained", sharex=True, gridspec_kw={"height_ratios": (3, 1)}
)
mode_ribbon(path, top)
top.set_xlabel("")
starts = [segment.t0 for segment in path.segments] + [path.t_end]
bottom.stairs([len(segment.sliding) for segment in path.segments], starts, color="#009E73", linewidth=2)
bottom.set(xlabel="time $t$", ylabel="coordinates sliding", xlim=(0, 1.03 * path.arrival_time))

# %%
# How many switches that took, and the evidence. Segments are straight lines; nothing was stepped.

print(path)
print(path.certify())
show_if_asked()
