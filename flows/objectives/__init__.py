"""Objectives: smooth functions with the derivatives and constants that flows and schemes ask for."""

from flows.objectives.least_squares import MatrixLeastSquares, MatrixSensing
from flows.objectives.linear_network import LinearNetwork
from flows.objectives.logistic import LogisticQuadratic, RidgeLogistic
from flows.objectives.objective import Objective, SmoothObjective
from flows.objectives.quadratic import Quadratic
from flows.objectives.separable import Separable
from flows.objectives.smooth_max import SmoothMax
from flows.objectives.symbolic import Symbolic

__all__ = [
    "LinearNetwork",
    "LogisticQuadratic",
    "MatrixLeastSquares",
    "MatrixSensing",
    "Objective",
    "Quadratic",
    "RidgeLogistic",
    "Separable",
    "SmoothMax",
    "SmoothObjective",
    "Symbolic",
]
