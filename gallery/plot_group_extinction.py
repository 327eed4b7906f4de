"""
Groups die out one by one
=========================

With max_k ||v_k||_2 <= 1 every group of coordinates moves at unit speed along its own -g_k / ||g_k||. A group whose gradient
reaches zero stays there: extinction, in finite time and on a set of codimension the size of the group. It can be driven out
again. Bounding the sum of the ||v_k|| instead moves the group of largest gradient only, and those that tie with it: a water
level.
"""

import matplotlib.pyplot as plt
import numpy as np

from discretizers.experiments.drawing import print_table, show_if_asked
from filippov import solve
from flows import L2, Group, GroupL1, NormFlow, Quadratic

GROUPS = ((0, 1, 2), (3, 4), (5,), (6, 7, 8))
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7")
rng = np.random.default_rng(5)
basis = np.linalg.qr(rng.standard_normal((9, 9)))[0]
Q = (basis * np.geomspace(1.0, 0.05, 9)) @ basis.T
f = Quadratic((Q + Q.T) / 2)
x0 = 2.0 * rng.standard_normal(9)
paths = {
    r"$\max_k \|v_k\|_2 \leq 1$": solve(NormFlow(f, Group(L2(), GROUPS)), (0, 40), x0),
    r"$\sum_k \|v_k\|_2 \leq 1$": solve(NormFlow(f, GroupL1(GROUPS)), (0, 40), x0),
}


def sizes(vectors):
    """Return the Euclidean norm of each group in each column, (groups, columns)."""
    return np.array([np.linalg.norm(vectors[list(group)], axis=0) for group in GROUPS])


figure, axes = plt.subplots(
    2, 2, figsize=(11.0, 7.0), layout="constrained", sharex="col", sharey="row", height_ratios=(1.6, 1)
)
for column, path in enumerate(paths.values()):
    top, bottom = axes[:, column]
    times = np.linspace(0.0, path.arrival_time, 2000)
    g = sizes(f.Q @ path.sol(times))
    v = sizes(path.velocity(times[:-1]))
    for k, colour in enumerate(COLOURS):
        label = f"group {k}, {len(GROUPS[k])} coordinate{'s' * (len(GROUPS[k]) > 1)}"
        top.plot(times, g[k], color=colour, linewidth=2, label=label)
        bottom.plot(times[:-1], v[k], color=colour, linewidth=2)
    bottom.set(xlabel="time $t$", xlim=(0, 1.02 * path.arrival_time))


def changes(path):
    """Return (t, group, joined) where a group joins or leaves those that slide; all are zero at the arrival."""
    found, before = [], frozenset()
    for segment in path.segments:
        now = frozenset(range(len(GROUPS))) if segment.mode.resting else frozenset(segment.sliding)
        found += [(segment.t0, k, True) for k in sorted(now - before)]
        found += [(segment.t0, k, False) for k in sorted(before - now)]
        before = now
    return found


words = (("extinct", "driven out"), ("ties for the largest", "falls behind"))
rows = []
for axis, (name, path), (joins, leaves) in zip(axes[0], paths.items(), words, strict=True):
    for t, k, joined in changes(path):
        if t == path.arrival_time and joins != "extinct":
            continue
        height = np.linalg.norm(f.grad(path.sol(t))[list(GROUPS[k])])
        fill = COLOURS[k] if joined else "white"
        axis.plot(
            t, height, "o", color=COLOURS[k], markerfacecolor=fill, markersize=8, zorder=3, clip_on=False
        )
        rows.append((name, f"{t:.6f}", str(k), joins if joined else leaves))
    axis.plot([], [], "o", color="0.3", label=joins)
    if any(not joined for *_, joined in changes(path)):
        axis.plot([], [], "o", color="0.3", markerfacecolor="white", label=leaves)
    axis.legend(fontsize="small")
axes[0, 0].set(
    title="max of groups: extinct, driven out, extinct again", ylabel=r"$\|g_k\|_2$, gradient of group $k$"
)
axes[0, 1].set(title="sum of groups: a water level")
axes[1, 0].set(ylabel=r"$\|v_k\|_2$, speed of group $k$", ylim=(-0.05, 1.08))
print_table("what happens to the groups", ("norm", "t", "group", "event"), rows)

# %%
# The evidence, and how much earlier the larger ball arrives. f falls at the rate of the dual norm: the sum of the ||g_k|| on
# the left, their maximum on the right.

for name, path in paths.items():
    norm = path.system.norm
    t = 0.5
    rate, dual = f.grad(path.sol(t)) @ path.velocity(t), norm.dual.value(f.grad(path.sol(t)))
    print(
        f"{name}: arrival {path.arrival_time:.6f}; at t = {t:g} -df/dt = {-rate:.12f}, dual norm {dual:.12f}"
    )
    print(path.certify())

# %%
# For f = ||x||^2/2 both are known: group k is extinct at ||x0_k||, and the water level arrives at the sum of these.

lengths = np.array([np.linalg.norm(x0[list(group)]) for group in GROUPS])
own = solve(NormFlow(Quadratic(np.eye(9)), Group(L2(), GROUPS)), (0, 40), x0)
level = solve(NormFlow(Quadratic(np.eye(9)), GroupL1(GROUPS)), (0, 40), x0)
found = np.array([t for t, _, _ in sorted(changes(own))])
print(f"extinctions: largest difference from ||x0_k|| {np.max(np.abs(found - np.sort(lengths))):.1e}")
print(f"water level: arrival {level.arrival_time:.12f}, sum of ||x0_k|| {lengths.sum():.12f}")
show_if_asked()
