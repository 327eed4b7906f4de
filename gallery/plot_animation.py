"""
A film of the moving set
========================

The point on the left, F(x(t)) and the velocity taken from it on the right. Off the line the set is one point. On the
line it is a segment, and the velocity is the only element of it that is tangent to the line.
"""

from discretizers.experiments.drawing import show_if_asked
from filippov import solve
from filippov.drawing.animation import animate, moving_set
from flows import SignFlow, Symbolic

flow = SignFlow(Symbolic("(y - 0.5*x)**2/2 + x", ["x", "y"]))
path = solve(flow, (0, 0.8), [0.3, 0.4])
# path="film.gif" or path="film.html" would write it.
film = animate(path, frames=16, fps=6)

# %%
# The set before and after the switch, and the velocity on the line.

for t in (0.25, 0.75):
    print(f"t = {t}: F = {moving_set(path, flow, t)}, v = {path.velocity(t)}")
print(f"switch at t = {path.switches[0].t:.12g}")
show_if_asked()
