"""
A hundred exact trajectories
============================

A portrait is drawn and is data as well: its curves carry their kind, its points their type. Here f is the smooth
nonconvex (x^2 - 1)^2/4 + (y - x)^2/2, whose sign flow has two minimisers and, between them, a point
that solutions leave. On the line y = x, where df/dy = 0, the flow is tangent on both sides: the limit of sliding.
"""

import collections

from discretizers.experiments.drawing import show_if_asked
from filippov import portrait
from flows import SignFlow, Symbolic

flow = SignFlow(Symbolic("(x**2 - 1)**2/4 + (y - x)**2/2", ["x", "y"]))
drawn = portrait(flow, (-2, 2), (-2, 2), starts=100)

# %%
# What was drawn, by kind, and where the special points are.

print(dict(collections.Counter(curve.kind for curve in drawn.curves)))
for point in drawn.points:
    print(f"{point.kind} at ({point.x[0]:+.6f}, {point.x[1]:+.6f})")
print(
    f"{len(drawn.trajectories)} trajectories, {drawn.failures} of them stopped where the solution is not unique"
)
ends = collections.Counter(
    str(path.y[:, -1].round(6)) for path in drawn.trajectories if path.arrival_time is not None
)
print(f"arrivals: {dict(ends)}")
show_if_asked()
