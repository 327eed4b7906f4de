"""Differential inclusions in Filippov's sense: solve, classify, certify, draw."""

from filippov.branches import branches
from filippov.certificate import Certificate
from filippov.ensemble import Ensemble, ensemble
from filippov.errors import (
    ChatteringError,
    FilippovError,
    InvalidInputError,
    InvalidTypeError,
    NonUniqueError,
    OtherInputWarning,
)
from filippov.pieces import Segment
from filippov.portrait import Portrait, portrait
from filippov.regularization import filippov_regularization
from filippov.sets import Ball, Box, ConvexSet, Hull
from filippov.solve import solve
from filippov.switched.piecewise import PiecewiseSmooth
from filippov.switched.piecewise_affine import PiecewiseAffine
from filippov.switched.relay import Relay
from filippov.switched.stewart import Stewart
from filippov.switching import Mode, Switch
from filippov.symbolic.from_expressions import SymbolicSystem, from_sympy
from filippov.system import Classification, System
from filippov.trajectory import Trajectory

__version__ = "0.1.0"

__all__ = [
    "Ball",
    "Box",
    "Certificate",
    "ChatteringError",
    "Classification",
    "ConvexSet",
    "Ensemble",
    "FilippovError",
    "Hull",
    "InvalidInputError",
    "InvalidTypeError",
    "Mode",
    "NonUniqueError",
    "OtherInputWarning",
    "PiecewiseAffine",
    "PiecewiseSmooth",
    "Portrait",
    "Relay",
    "Segment",
    "Stewart",
    "Switch",
    "SymbolicSystem",
    "System",
    "Trajectory",
    "branches",
    "ensemble",
    "filippov_regularization",
    "from_sympy",
    "portrait",
    "solve",
]
