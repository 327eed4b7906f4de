"""The one place where norms meet their geometries."""

from __future__ import annotations

import numpy as np

from filippov.arguments import Matrix
from filippov.errors import InvalidInputError
from flows.geometry.geometry import Geometry
from flows.geometry.group import GroupGeometry, GroupL1Geometry
from flows.geometry.matrix import NuclearGeometry, SpectralGeometry
from flows.geometry.polyhedral import GreedyGeometry, SignGeometry
from flows.geometry.smooth import EuclideanGeometry, LpGeometry
from flows.geometry.top_k import TopKGeometry
from flows.geometry.vertex import VertexGeometry
from flows.norms import L1, L2, Group, GroupL1, LInf, Lp, Norm, Nuclear, Polytope, Spectral, TopK, Weighted

__all__ = ["geometry_of"]


def geometry_of(norm: Norm, dim: int) -> Geometry:
    """Return the geometry of a norm in dimension n.

    A norm joins with one line here: a class of `Geometry` that is built from the norm and, if it can be rescaled, weights.

    Raises
    ------
    InvalidInputError
        If the norm does not fit the dimension, or its flow has no motion.
    """
    base: Norm = norm
    weights = np.ones(dim)
    while isinstance(base, Weighted):
        if base.w.size != dim:
            raise InvalidInputError(f"norm must have {dim} weights, got {base.w.size}")
        weights = weights * base.w
        base = base.norm
    if isinstance(base, LInf):
        return SignGeometry(norm, weights)
    if isinstance(base, L1):
        return GreedyGeometry(norm, weights)
    if isinstance(base, TopK):
        base.check_dim(dim)
        return TopKGeometry(norm, weights, base.k)
    if isinstance(base, Polytope):
        return VertexGeometry(norm, _fitting(base.vertices, dim) * weights)
    if isinstance(norm, L2):
        return EuclideanGeometry(norm, dim)
    if isinstance(base, (L2, Lp)):
        return LpGeometry(norm, 2.0 if isinstance(base, L2) else base.p, weights)
    if isinstance(norm, Spectral):
        return SpectralGeometry(norm, dim)
    if isinstance(norm, Nuclear):
        return NuclearGeometry(norm, dim)
    if isinstance(norm, Group):
        return GroupGeometry(norm, dim)
    if isinstance(norm, GroupL1):
        return GroupL1Geometry(norm, dim)
    raise InvalidInputError(f"norm must be one whose flow has a motion, got {norm!r}")


def _fitting(vertices: Matrix, dim: int) -> Matrix:
    """Return the vertices if they are in dimension `dim`, or raise."""
    if vertices.shape[1] != dim:
        raise InvalidInputError(f"norm must have vertices in dimension {dim}, got {vertices.shape[1]}")
    return vertices
