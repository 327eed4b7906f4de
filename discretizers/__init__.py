"""Discrete schemes for norm-constrained flows: steps, step rules, and the loop that runs them."""

from __future__ import annotations

from discretizers.ball_proximal import BallProximal
from discretizers.inertial import InertialSignGD
from discretizers.iterates import Iterates
from discretizers.projected import OneHitFreeze, TwoHitSliding
from discretizers.run import run
from discretizers.schemes import ExplicitScheme, GreedyCD, Move, NormalizedGD, Scheme, SignGD, State
from discretizers.steps import Adaptive, Armijo, Constant, FaceAware, SmoothFunction, StepRule

__all__ = [
    "Adaptive",
    "Armijo",
    "BallProximal",
    "Constant",
    "ExplicitScheme",
    "FaceAware",
    "GreedyCD",
    "InertialSignGD",
    "Iterates",
    "Move",
    "NormalizedGD",
    "OneHitFreeze",
    "Scheme",
    "SignGD",
    "SmoothFunction",
    "State",
    "StepRule",
    "TwoHitSliding",
    "run",
]
