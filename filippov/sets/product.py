"""The product of convex sets in complementary coordinates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import ArrayLike

from filippov.arguments import Indices, Matrix, Vector, as_vector
from filippov.errors import InvalidInputError
from filippov.sets.convex_set import ConvexSet
from filippov.sets.quadratic_form import QuadraticForm, least_norm_inverse, without_rounding

__all__ = ["Product"]

# As for a box: no more corners than this are listed.
MAX_CORNERS = 2**16


@dataclass(frozen=True, eq=False, init=False, repr=False)
class Product(ConvexSet):
    """The set { v : v[indices_k] in C_k for each block k }.

    Parameters
    ----------
    blocks : sequence of (indices, ConvexSet)
        The index lists partition range(n); the length of each is the dimension of its set.

    Examples
    --------
    >>> from filippov.sets import Ball, Box, Product
    >>> Product([([0, 2], Ball([0, 0], 1)), ([1], Box([3], [3]))]).support_point([1, 0, 0])
    array([1., 3., 0.])
    """

    blocks: tuple[tuple[Indices, ConvexSet], ...]

    def __init__(self, blocks: Sequence[tuple[ArrayLike, ConvexSet]]) -> None:
        checked = []
        for k, (indices, part) in enumerate(blocks):
            positions = np.array(indices, dtype=np.intp)
            if positions.shape != (part.dim,):
                raise InvalidInputError(
                    f"blocks[{k}] must have {part.dim} indices for its set, got shape {positions.shape}"
                )
            positions.flags.writeable = False
            checked.append((positions, part))
        every = np.sort(np.concatenate([positions for positions, _ in checked])) if checked else np.zeros(0)
        if every.size == 0 or not np.array_equal(every, np.arange(every.size)):
            raise InvalidInputError(f"blocks must partition range(n), got the indices {every.tolist()}")
        object.__setattr__(self, "blocks", tuple(checked))

    @property
    def dim(self) -> int:
        """Dimension n of the space."""
        return sum(part.dim for _, part in self.blocks)

    @property
    def magnitude(self) -> float:
        """Largest absolute coordinate."""
        return max(part.magnitude for _, part in self.blocks)

    def support_point(self, d: ArrayLike) -> Vector:
        """Return a point at which <d, v> is largest, block by block."""
        direction = as_vector("d", d, self.dim)
        point = np.empty(self.dim)
        for indices, part in self.blocks:
            point[indices] = part.support_point(direction[indices])
        return point

    def translate(self, shift: ArrayLike) -> Product:
        """Return the shifted product."""
        offset = as_vector("shift", shift, self.dim)
        return Product([(indices, part.translate(offset[indices])) for indices, part in self.blocks])

    def project(self, p: ArrayLike) -> Vector:
        """Return the point nearest to p, block by block."""
        target = as_vector("p", p, self.dim)
        point = np.empty(self.dim)
        for indices, part in self.blocks:
            point[indices] = part.project(target[indices])
        return point

    def vertices(self) -> Matrix:
        """Return the extreme points in rows: every choice of one from each block.

        Raises
        ------
        InvalidInputError
            If a block is not a polytope, or there are more than 2**16 vertices.
        """
        corners = [part.vertices() for _, part in self.blocks]
        count = int(np.prod([float(len(block)) for block in corners]))
        if count > MAX_CORNERS:
            raise InvalidInputError(f"{self!r} has {count} vertices, more than {MAX_CORNERS}")
        points = np.empty((count, self.dim))
        for row, choice in enumerate(product(*corners)):
            for (indices, _), corner in zip(self.blocks, choice, strict=True):
                points[row, indices] = corner
        return points

    def minimize_quadratic(self, H: ArrayLike) -> Vector:
        """Return argmin { v'Hv : v in the product }, least-norm if H is singular.

        Single points are folded into a translation of the rest; blocks that H does not couple are solved
        apart, each by its own method (exact for boxes, hulls, balls). Only coupled blocks that are not points
        need the generic iteration.

        Raises
        ------
        InvalidInputError
            If H is indefinite.
        FilippovError
            If an iteration has not converged.
        """
        form = QuadraticForm.of(H, self.dim)
        v = np.empty(self.dim)
        moving = []
        for indices, part in self.blocks:
            if part.is_point:
                v[indices] = part.support_point(np.zeros(part.dim))
            else:
                moving.append((indices, part))
        if not moving:
            return v
        fixed = np.setdiff1d(np.arange(self.dim), np.concatenate([indices for indices, _ in moving]))
        for group in _coupled(moving, form.matrix):
            inside = np.concatenate([indices for indices, _ in group])
            block = without_rounding(form.matrix[np.ix_(inside, inside)], form.cutoff)
            # (u + q)'H(u + q) with H q = H_fixed v_fixed, q in the range of H: the same minimisers, least
            # norm included.
            q = least_norm_inverse(block, form.cutoff) @ (form.matrix[np.ix_(inside, fixed)] @ v[fixed])
            if len(group) == 1:
                v[inside] = group[0][1].translate(q).minimize_quadratic(block) - q
                continue
            ends = np.cumsum([part.dim for _, part in group])
            joint = Product(
                [(np.arange(end - part.dim, end), part) for end, (_, part) in zip(ends, group, strict=True)]
            )
            v[inside] = ConvexSet.minimize_quadratic(joint.translate(q), block) - q
        return self.project(v)

    def __repr__(self) -> str:
        inner = ", ".join(f"({indices.tolist()}, {part!r})" for indices, part in self.blocks[:4])
        return f"Product([{inner}{', ...' if len(self.blocks) > 4 else ''}])"


def _coupled(blocks: list[tuple[Indices, ConvexSet]], H: Matrix) -> list[list[tuple[Indices, ConvexSet]]]:
    """Split the blocks into groups between which H is zero."""
    groups: list[list[tuple[Indices, ConvexSet]]] = []
    for block in blocks:
        touching = [
            group for group in groups if any(np.any(H[np.ix_(block[0], other)]) for other, _ in group)
        ]
        groups = [group for group in groups if not any(group is other for other in touching)]
        groups.append([member for group in touching for member in group] + [block])
    return groups
