"""Norm-constrained steepest-descent flows, their objectives and norms."""

from flows.norm_flow import GradientFlow, GreedyFlow, NormalizedFlow, NormFlow, SignFlow
from flows.norms import L1, L2, Group, GroupL1, LInf, Lp, Norm, Nuclear, Spectral, Weighted
from flows.objectives import (
    LogisticQuadratic,
    Objective,
    Quadratic,
    RidgeLogistic,
    Separable,
    SmoothMax,
    SmoothObjective,
    Symbolic,
)

__all__ = [
    "GradientFlow",
    "GreedyFlow",
    "Group",
    "GroupL1",
    "L1",
    "L2",
    "LInf",
    "LogisticQuadratic",
    "Lp",
    "Norm",
    "NormFlow",
    "NormalizedFlow",
    "Nuclear",
    "Objective",
    "Quadratic",
    "RidgeLogistic",
    "Separable",
    "SignFlow",
    "SmoothMax",
    "SmoothObjective",
    "Spectral",
    "Symbolic",
    "Weighted",
]
