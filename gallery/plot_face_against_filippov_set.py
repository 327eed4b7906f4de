"""
The face and the Filippov set
=============================

The outer bound -d||.||_*(grad f), the face, can be larger than Filippov's set, the hull of the limits of the selector.
For f = (x1 + 2 x2)^2/2 at the origin the l1 face is a diamond and the limits are a segment; with a nonsingular Hessian
the two are the same.
"""

import matplotlib.pyplot as plt
import numpy as np

from discretizers.experiments.drawing import show_if_asked
from filippov import filippov_regularization
from flows import GreedyFlow, Quadratic, SignFlow

singular, regular = Quadratic([[1.0, 2.0], [2.0, 4.0]]), Quadratic([[2.0, 0.5], [0.5, 1.0]])
figure, axes = plt.subplots(2, 2, figsize=(8.4, 7.6), layout="constrained")
for row, (f, text) in zip(axes, ((singular, "singular H"), (regular, "nonsingular H")), strict=True):
    for axis, (flow, name) in zip(row, ((GreedyFlow(f), "l1"), (SignFlow(f), "l_inf")), strict=True):
        face, own = flow.face([0.0, 0.0]), flow.filippov_set([0.0, 0.0])
        face.plot(axis)
        corners = own.vertices()
        order = np.argsort(np.arctan2(corners[:, 1], corners[:, 0]))
        closed = np.vstack([corners[order], corners[order][:1]])
        axis.plot(*closed.T, "o--", color="#D55E00", linewidth=2.5, label="Filippov set")
        axis.plot([], [], color="C0", label="face")
        axis.set(title=f"{name}, {text}", xlabel="$v_1$", ylabel="$v_2$")
        print(f"{name}, {text}: face {len(face.vertices())} vertices, Filippov set {len(corners)}")
axes[0, 0].legend(loc="upper right")

# %%
# An independent look: `filippov_regularization` knows only the selector's values at points near x. For the singular
# objective and l1 it finds the same segment.

flow = GreedyFlow(singular)
found = filippov_regularization(lambda x: flow.field(0.0, x), [0.0, 0.0])
print(found)
show_if_asked()
