"""Norms that constrain a flow: values, duals and the faces of their unit balls."""

from __future__ import annotations

from flows.norms.classical import L1, L2, LInf, Lp
from flows.norms.group import Group, GroupL1
from flows.norms.norm import Norm
from flows.norms.polytope import PolarPolytope, Polytope
from flows.norms.spectral import Nuclear, Spectral
from flows.norms.top_k import KLargest, TopK
from flows.norms.weighted import Weighted

__all__ = [
    "L1",
    "L2",
    "Group",
    "GroupL1",
    "KLargest",
    "LInf",
    "Lp",
    "Norm",
    "Nuclear",
    "PolarPolytope",
    "Polytope",
    "Spectral",
    "TopK",
    "Weighted",
]
