"""
A ridge, and all ways to leave it
=================================

On f = (y^2 - x^2)/2 the line x = 0 is repelling: the sign flow may follow it, or leave to either side. `solve` refuses
to choose; `branches` returns one trajectory for each way out: those that leave at the start, and those that follow the
ridge to the saddle point and choose there.
"""

from discretizers.experiments.drawing import show_if_asked
from filippov import NonUniqueError, branches, portrait, solve
from flows import Quadratic, SignFlow

saddle = SignFlow(Quadratic([[-1.0, 0.0], [0.0, 1.0]]))
drawn = portrait(
    saddle, (-1.2, 1.2), (-1.2, 1.2), starts=[[0.3, 1.0], [-0.3, -1.0], [0.6, -1.0], [-0.6, 1.0]]
)
ways = branches(saddle, (0, 1), [0.0, 0.8])
colours = ("#0072B2", "#56B4E9", "#000000", "#E69F00", "#CC79A7")
# Ever thinner: three of them share the ridge.
for path, colour, width in zip(ways, colours, (3, 7.5, 5, 2.5, 3), strict=True):
    drawn.ax.plot(
        *path.y, color=colour, linewidth=width, zorder=4, label=f"branch to {path.sol(1.0).round(3)}"
    )
drawn.ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1.01), frameon=False, fontsize="small")

# %%
# What was found, and what `solve` says.

print(f"at (0, 0.8): {saddle.classify([0.0, 0.8]).kind}, {len(ways)} solutions")
for path in ways:
    print(f"  ends at {path.sol(1.0)}, certificate {'ok' if path.certify().ok else 'NOT ok'}")
try:
    solve(saddle, (0, 1), [0.0, 0.8])
except NonUniqueError as error:
    print(f"NonUniqueError: {error}")

# %%
# Curves are labelled by what they are: green solid where solutions slide, red dotted where they are repelled.

print(sorted({curve.kind for curve in drawn.curves}))
show_if_asked()
