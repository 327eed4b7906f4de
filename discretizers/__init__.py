"""Discrete schemes for norm-constrained flows: steps, step rules, and the loop that runs them."""

from __future__ import annotations

from discretizers.assumptions import Assumption
from discretizers.ball_proximal import BallProximal
from discretizers.compare import Comparison, SlidingArc, compare
from discretizers.custom import CustomScheme, TorchOptimizer
from discretizers.inertial import InertialSignGD
from discretizers.iterates import Iterates
from discretizers.muon import Muon, newton_schulz
from discretizers.projected import OneHitFreeze, TwoHitSliding
from discretizers.run import run
from discretizers.schemes import ExplicitScheme, GreedyCD, Move, NormalizedGD, Scheme, SignGD, State
from discretizers.steepest import SteepestDescent
from discretizers.steps import Adaptive, Armijo, Constant, FaceAware, SmoothFunction, StepRule
from discretizers.theory import Inequality, TheoryReport, check_theory
from discretizers.tuning import TunedStep, tune_step
from discretizers.verification import Verification, verify

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
    "Muon",
    "NormalizedGD",
    "OneHitFreeze",
    "Scheme",
    "SignGD",
    "SmoothFunction",
    "State",
    "SteepestDescent",
    "StepRule",
    "TwoHitSliding",
    "newton_schulz",
    "run",
    "Assumption",
    "Comparison",
    "SlidingArc",
    "compare",
    "CustomScheme",
    "TorchOptimizer",
    "Inequality",
    "TheoryReport",
    "check_theory",
    "TunedStep",
    "tune_step",
    "Verification",
    "verify",
]
