"""Norms of blocks of coordinates: the largest block, and the sum of the blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from filippov.arguments import Indices, Vector, as_vector
from filippov.errors import InvalidInputError, InvalidTypeError
from filippov.rounding import EPS
from filippov.sets import Ball, ConvexSet, Hull, Join, Product
from flows.norms.classical import L2
from flows.norms.norm import Norm, as_tolerance

__all__ = ["Group", "GroupL1"]


def _partition(groups: Sequence[ArrayLike]) -> tuple[Indices, ...]:
    """Return the groups as index arrays that partition range(n), or raise."""
    try:
        blocks = [np.array(group, dtype=np.intp) for group in groups]
    except (TypeError, ValueError) as error:
        raise InvalidTypeError(f"groups must be lists of indices: {error}") from None
    for k, block in enumerate(blocks):
        if block.ndim != 1 or block.size == 0:
            raise InvalidInputError(
                f"groups[{k}] must be a nonempty list of indices, got shape {block.shape}"
            )
        block.flags.writeable = False
    every = np.sort(np.concatenate(blocks)) if blocks else np.zeros(0)
    if every.size == 0 or not np.array_equal(every, np.arange(every.size)):
        raise InvalidInputError(f"groups must partition range(n), got the indices {every.tolist()}")
    return tuple(blocks)


def _inner_norm(norm: Norm | None) -> Norm:
    if norm is not None and not isinstance(norm, Norm):
        raise InvalidTypeError(f"norm must be a Norm, got {type(norm).__name__}")
    return L2() if norm is None else norm


@dataclass(frozen=True, eq=False, init=False, repr=False)
class Group(Norm):
    """The largest block, max_k norm.value(v_k), v_k = v[groups[k]].

    Parameters
    ----------
    norm : Norm or None
        Of each block; None is `L2()`, the group norm of the literature.
    groups : sequence of lists of int
        A partition of range(n).

    Examples
    --------
    >>> from flows.norms import Group, L2
    >>> Group(L2(), [[0, 1], [2]]).value([3, 4, -6])
    6.0
    """

    norm: Norm
    groups: tuple[Indices, ...]

    def __init__(self, norm: Norm | None, groups: Sequence[ArrayLike]) -> None:
        object.__setattr__(self, "norm", _inner_norm(norm))
        object.__setattr__(self, "groups", _partition(groups))

    @property
    def dim(self) -> int:
        """Number n of coordinates."""
        return sum(block.size for block in self.groups)

    @property
    def dual(self) -> Norm:
        """The sum over blocks of the dual of `norm`."""
        return GroupL1(self.groups, self.norm.dual)

    def value(self, v: ArrayLike) -> float:
        """Return max_k norm.value(v_k)."""
        vector = as_vector("v", v, self.dim)
        return max(self.norm.value(vector[block]) for block in self.groups)

    def face(self, g: ArrayLike, tol: ArrayLike = 0.0) -> ConvexSet:
        """Return the product of the blocks' faces: for l2 -g_k / ||g_k||_2, a unit ball where g_k = 0.

        `tol` goes to `norm` block by block.
        """
        gradient = as_vector("g", g, self.dim)
        slack = as_tolerance(tol, self.dim)
        faces = []
        for block in self.groups:
            part = float(slack[block[0]]) if np.ndim(tol) == 0 else slack[block]
            faces.append((block, self.norm.face(gradient[block], part)))
        return Product(faces)

    def __repr__(self) -> str:
        return f"Group({self.norm!r}, {[block.tolist() for block in self.groups]})"


@dataclass(frozen=True, eq=False, init=False, repr=False)
class GroupL1(Norm):
    """The sum of the blocks, sum_k norm.value(v_k), v_k = v[groups[k]]; for l2 the norm of the group lasso.

    Parameters
    ----------
    groups : sequence of lists of int
        A partition of range(n).
    norm : Norm, optional
        Of each block, by default `L2()`.
    """

    groups: tuple[Indices, ...]
    norm: Norm

    def __init__(self, groups: Sequence[ArrayLike], norm: Norm | None = None) -> None:
        object.__setattr__(self, "groups", _partition(groups))
        object.__setattr__(self, "norm", _inner_norm(norm))

    @property
    def dim(self) -> int:
        """Number n of coordinates."""
        return sum(block.size for block in self.groups)

    @property
    def dual(self) -> Norm:
        """The largest over blocks of the dual of `norm`."""
        return Group(self.norm.dual, self.groups)

    def value(self, v: ArrayLike) -> float:
        """Return sum_k norm.value(v_k)."""
        vector = as_vector("v", v, self.dim)
        return sum(self.norm.value(vector[block]) for block in self.groups)

    def face(self, g: ArrayLike, tol: ArrayLike = 0.0) -> ConvexSet:
        """Return conv { the face of block k : ||g_k||_* largest }; for l2 conv { -g_k / ||g_k||_2 }.

        `tol`: block k is tied if ||g_k||_* is within it (for a vector, within the dual norm of tol_k) of the
        largest, up to the rounding of the norms. Where the largest itself is within it, the face is the whole
        unit ball.
        """
        gradient = as_vector("g", g, self.dim)
        slack = as_tolerance(tol, self.dim)
        dual = self.norm.dual
        sizes = np.array([dual.value(gradient[block]) for block in self.groups])
        largest = float(np.max(sizes))
        if np.ndim(tol) == 0:
            reach = np.full(sizes.size, slack[0])
        else:
            reach = np.array([dual.value(slack[block]) for block in self.groups])
        zero = sizes <= reach
        tied = sizes >= largest - reach - 4.0 * self.dim * EPS * largest
        if np.any(tied & zero):
            parts = [self._embed(block, self.norm.face(np.zeros(block.size))) for block in self.groups]
        else:
            parts = [
                self._embed(block, self.norm.face(gradient[block]))
                for block, is_tied in zip(self.groups, tied, strict=True)
                if is_tied
            ]
        if all(part.is_point for part in parts):
            return Hull(np.array([part.support_point(np.zeros(self.dim)) for part in parts]))
        return parts[0] if len(parts) == 1 else Join(parts)

    def _embed(self, block: Indices, face: ConvexSet) -> ConvexSet:
        """Return the face of one block with the other coordinates zero."""
        rest: Vector = np.setdiff1d(np.arange(self.dim), block)
        if rest.size == 0:
            return Product([(block, face)])
        return Product([(block, face), (rest, Ball(np.zeros(rest.size), 0.0))])

    def __repr__(self) -> str:
        return f"GroupL1({[block.tolist() for block in self.groups]}, {self.norm!r})"
