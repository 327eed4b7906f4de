"""Norm-constrained steepest-descent flows, their objectives and norms."""

from flows.norm_flow import GradientFlow, GreedyFlow, NormalizedFlow, NormFlow, SignFlow
from flows.norms import L1, L2, Group, GroupL1, LInf, Lp, Norm, Nuclear, Polytope, Spectral, TopK, Weighted
from flows.objectives import (
    LinearNetwork,
    LogisticQuadratic,
    MatrixLeastSquares,
    MatrixSensing,
    Objective,
    Quadratic,
    RidgeLogistic,
    Separable,
    SmoothMax,
    SmoothObjective,
    Symbolic,
)
from flows.proving.proof import prove_norm_flow  # its import makes `certify` prove what it can

__all__ = [
    "GradientFlow",
    "GreedyFlow",
    "Group",
    "GroupL1",
    "L1",
    "L2",
    "LInf",
    "LinearNetwork",
    "LogisticQuadratic",
    "Lp",
    "MatrixLeastSquares",
    "MatrixSensing",
    "Norm",
    "NormFlow",
    "NormalizedFlow",
    "Nuclear",
    "Objective",
    "Polytope",
    "Quadratic",
    "RidgeLogistic",
    "Separable",
    "SignFlow",
    "SmoothMax",
    "SmoothObjective",
    "Spectral",
    "Symbolic",
    "TopK",
    "Weighted",
    "prove_norm_flow",
]
