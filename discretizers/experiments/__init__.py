"""The paper's experiments (section 7, appendix): data, protocol, and verdicts on its observations."""

from discretizers.experiments.claims import CLAIMS
from discretizers.experiments.observations import (
    largest_increase,
    observe,
    sliding_chatter,
    table_2_constants,
)
from discretizers.experiments.problems import (
    Problem,
    breast_cancer_problem,
    logistic_quadratic,
    ridge_logistic,
    smooth_max,
    spectrum_matrix,
)
from discretizers.experiments.protocol import (
    BUDGET,
    METHODS,
    STEP_GRID,
    iterations_to,
    run_methods,
    run_tuned,
)
from discretizers.experiments.verdicts import Claim, Measurement, Observation, Verdict, judge

__all__ = [
    "BUDGET",
    "CLAIMS",
    "METHODS",
    "STEP_GRID",
    "Claim",
    "Measurement",
    "Observation",
    "Problem",
    "Verdict",
    "breast_cancer_problem",
    "iterations_to",
    "judge",
    "largest_increase",
    "logistic_quadratic",
    "observe",
    "ridge_logistic",
    "run_methods",
    "run_tuned",
    "sliding_chatter",
    "smooth_max",
    "spectrum_matrix",
    "table_2_constants",
]
