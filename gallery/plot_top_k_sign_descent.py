"""
Half the coordinates, the same arrival
======================================

With |v_i| <= 1 and sum |v_i| <= k a step moves the k coordinates of largest gradient, each by its sign: top-k SignGD, what
gradient compression sends. Here half of the coordinates arrive at the very time of all of them, and a few at a time need the
least sending. All slide almost from the start: on ties of the k-th largest gradient, and where gradients are zero.
"""

import matplotlib.pyplot as plt
import numpy as np

from discretizers import SteepestDescent, run
from discretizers.experiments.drawing import print_table, show_if_asked
from filippov import solve
from flows import GreedyFlow, NormFlow, Quadratic, SignFlow, TopK

n, h = 20, 0.02
rng = np.random.default_rng(0)
basis = np.linalg.qr(rng.standard_normal((n, n)))[0]
Q = (basis * np.geomspace(1.0, 1.0 / 30.0, n)) @ basis.T
f = Quadratic((Q + Q.T) / 2)
x0 = rng.standard_normal(n)
COLOURS = {1: "#D55E00", 2: "#E69F00", 5: "#009E73", 10: "#CC79A7", 20: "black"}
paths = {k: solve(NormFlow(f, TopK(k)), (0, 60), x0) for k in COLOURS}
iterates = {k: run(SteepestDescent(TopK(k), h), f, x0, round(paths[k].arrival_time / h)) for k in COLOURS}

# %%
# Left, f against time; right, the same against the coordinates sent: k a step. Thick: the flow, k t / h. Thin: top-k SignGD with
# the step h, which chatters at the end. k = n is SignGD.

figure, (left, right) = plt.subplots(1, 2, figsize=(11.0, 4.6), layout="constrained", sharey=True)
for k, colour in COLOURS.items():
    times = np.linspace(0.0, paths[k].arrival_time, 1500)
    x = paths[k].sol(times)
    values = np.sum(x * (f.Q @ x), axis=0) / 2
    label = f"k = {k}" + (" = n, SignGD" if k == n else "")
    for axis, scale in ((left, 1.0), (right, k / h)):
        axis.semilogy(scale * times, values, color=colour, linewidth=2.2, label=label)
        axis.semilogy(scale * iterates[k].t, iterates[k].f, color=colour, linewidth=0.8)
left.set(title="at equal time: more is faster, up to k = 10", xlabel="time $t$", ylim=(1e-5, 5))
left.set_ylabel("$f(x) - f^*$")
right.set(
    title="at equal sending: 1, 2 and 5 at a time agree, 20 is worst", xlabel=f"coordinates sent, $h$ = {h:g}"
)
left.legend(fontsize="small", loc="upper right")


def first(level, values):
    """Return the index from which on the values are below a level once."""
    return int(np.argmax(np.asarray(values) <= level))


rows = []
for k, path in paths.items():
    bound = max(np.max(np.abs(x0)), np.sum(np.abs(x0)) / k)
    to = first(0.01 * f.value(x0), iterates[k].f)
    numbers = (f"{path.arrival_time:.6f}", f"{bound:.6f}", f"{path.sliding_time / path.arrival_time:.1%}")
    rows.append((str(k), *numbers, str(len(path.switches)), f"{to * h:.2f}", str(k * to)))
header = ("k", "arrival", "least possible", "sliding", "switches", "t to 1% of f", "coordinates to 1%")
print_table(f"flows, and SteepestDescent(TopK(k), {h:g})", header, rows)

# %%
# No arrival is earlier than max(||x0||_inf, ||x0||_1 / k), the distance in the norm; k = 10 and k = 20 attain it, as one
# coordinate moves at full speed all the way. Once three coordinates tie, k = 2 goes the way of k = 1 at twice its speed.
#
# What the trajectories slide on, time being a share of the arrival's:

figure, axes = plt.subplots(5, 1, figsize=(8.4, 7.6), layout="constrained", sharex=True, sharey=True)
for axis, (k, path) in zip(axes, paths.items(), strict=True):
    moving = [s for s in path.segments if not s.mode.resting]
    ends = np.array([s.t0 for s in moving] + [path.arrival_time]) / path.arrival_time
    zero = np.array([sum(i < n for i in s.sliding) for s in moving])
    tied = np.array([sum(i >= n for i in s.sliding) for s in moving])
    axis.stairs(zero, ends, fill=True, color="#0072B2", label="held at $g_i = 0$")
    axis.stairs(zero + tied, ends, baseline=zero, fill=True, color="#E69F00", label="tied for $k$-th largest")
    axis.set(ylabel=f"k = {k}", ylim=(0, n), xlim=(0, 1), yticks=(0, 10, 20))
axes[0].set_title("few at a time slide on ties, many at zero gradients")
axes[0].legend(loc="upper left", fontsize="small")
axes[-1].set_xlabel("time / arrival time")
figure.supylabel("coordinates")

# %%
# The two ends of the family are known flows: k = 1 is greedy descent, k = n the sign flow.

for k, flow in ((1, GreedyFlow(f)), (n, SignFlow(f))):
    known = solve(flow, (0, 60), x0)
    times = np.linspace(0.0, known.arrival_time, 500)
    gap = np.max(np.abs(paths[k].sol(np.minimum(times, paths[k].t_end)) - known.sol(times)))
    print(f"k = {k} against {type(flow).__name__}: largest difference {gap:.1e}")
three = next(segment.t0 for segment in paths[2].segments if len(segment.sliding) >= 3)
for a, b in ((0.0, three), (three, paths[2].arrival_time)):
    times = np.linspace(a, b, 500)[:-1]
    gap = np.max(np.abs(paths[2].sol(times) - paths[1].sol(2.0 * times)))
    print(f"k = 2 at t against k = 1 at 2 t, {a:.3f} <= t <= {b:.3f}: largest difference {gap:.1e}")
for k, path in paths.items():
    certificate = path.certify()
    print(f"k = {k}: certified {certificate.ok}, velocity in F to {certificate.inclusion:.1e}")
show_if_asked()
