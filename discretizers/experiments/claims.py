"""The paper's observations and this project's, as claims; and the thresholds that decide them."""

from __future__ import annotations

from discretizers.experiments.protocol import BUDGET
from discretizers.experiments.verdicts import Claim

__all__ = [
    "ACTIVE",
    "CLAIMS",
    "CLOSE",
    "FIRES",
    "FRACTION",
    "LONG",
    "MOST",
    "ROUNDING",
    "SLIDING_STEP",
    "SLIDING_TIME",
]

LONG = 2000
"""Steps of the runs whose iterations are counted: adaptive SignGD needs over 1500 on the hardest problem."""

FRACTION = 1e-3
"""Iterations are counted until the gap has fallen to this share of the first."""

ACTIVE = (1e-2, 1e-4)
"""|g_i| above this counts as active (the paper: 10^-k, k lost, so two of them)."""

ROUNDING = 1e-12
"""An increase of f by less, relative to the first gap, is rounding: f carries about N eps of its size."""

CLOSE = 2.0
"""Two final squared distances within this factor count as "very close"."""

MOST = 0.9
"""A curve is "consistently" below another if it is at this share of the iterates."""

FIRES = 0.05
"""Track events a step above this are "keeps firing": one in three is the most, two flips between two events."""

SLIDING_STEP = 0.01
SLIDING_TIME = 3.0
"""Step of the planar runs, and for how long their exact solution slides."""

CLAIMS: tuple[Claim, ...] = (
    Claim(
        "monotone",
        "Adaptive SignGD decreases f monotonically",
        "section 7.3",
        "the largest increase of f over one step, relative to the first gap",
        f"it is at most {ROUNDING:g}, which is rounding",
    ),
    Claim(
        "theory",
        "The inequalities of sections 5 and 6 hold along the runs (SignGD adaptive and face-aware, ASGD with restart)",
        "sections 5, 6",
        "how many inequalities or assumptions `check_theory` finds violated, L_i by row sums",
        "none is",
    ),
    Claim(
        "constants",
        "L_i = ||a_i||^2/4 + Q_ii (columns a_i, Table 2) make the coordinate-wise bound (5.2) true",
        "Table 2, Assumption 1.2",
        "least eigenvalue of diag(L) - Hess f(0), relative to max L_i",
        "it is at least zero, up to rounding",
    ),
    Claim(
        "constants-monotone",
        "Adaptive SignGD is monotone also with those column-norm L_i",
        "section 7.3, Table 2",
        "the largest increase of f over one step, relative to the first gap",
        f"it is at most {ROUNDING:g}",
    ),
    Claim(
        "asgd-adaptive",
        "ASGD with restart needs fewer iterations than SignGD, adaptive steps",
        "section 7.3",
        f"iterations to {FRACTION:g} of the first gap, ASGD over SignGD; 0 where SignGD needs more than {LONG}",
        "the ratio is below 1",
    ),
    Claim(
        "asgd-tuned",
        "ASGD with restart ends at a smaller gap than SignGD, constant steps tuned on validation data",
        "section 7.3, A.4",
        f"gap after {BUDGET} steps, ASGD over SignGD",
        "the ratio is below 1",
    ),
    Claim(
        "overshoot",
        "Without restart, ASGD overshoots on smooth max",
        "section 7.3",
        "the largest increase of f over one step, relative to the first gap",
        f"it is above {ROUNDING:g}",
    ),
    Claim(
        "overshoot-elsewhere",
        "Without restart, ASGD does not overshoot on the other objectives",
        "section 7.3 names smooth max only",
        "the largest increase of f over one step, relative to the first gap",
        f"it is at most {ROUNDING:g}",
    ),
    Claim(
        "no-restart-faster",
        "Without restart, ASGD still needs fewer iterations than SignGD, adaptive steps",
        "section 7.3",
        f"iterations to {FRACTION:g} of the first gap, ASGD without restart over SignGD",
        "the ratio is below 1",
    ),
    Claim(
        "restart-helps",
        "The restart saves iterations of ASGD",
        "here",
        f"iterations to {FRACTION:g} of the first gap, with restart over without",
        "the ratio is below 1",
    ),
    Claim(
        "collapse",
        "The active-face size stays near its maximum, then collapses rapidly",
        "A.2, Fig. 6",
        f"share of the iterations to |S| <= n/10 spent at |S| <= 9 n/10, in runs that get there in {LONG} steps",
        "it is below one half",
    ),
    Claim(
        "collapse-earlier",
        "ASGD with restart reaches small active faces earlier than SignGD",
        "section 7.3, A.2",
        f"iterations to |S| <= n/2, ASGD over SignGD; 0 where SignGD does not get there in {LONG} steps",
        "the ratio is below 1",
    ),
    Claim(
        "face-step",
        "Small active faces enlarge the face-aware step ||g||_1 / L_S, S = { g_i not 0 }",
        "section 7.3, A.2",
        f"share of {LONG} adaptive SignGD steps with L_S below sum L_i",
        "there is such a step",
    ),
    Claim(
        "very-close",
        "SignGD and its two projected variants are very close",
        "A.3, Fig. 7-8",
        "final squared distance of a variant over SignGD's, the one further from 1",
        f"it is within a factor {CLOSE:g}",
    ),
    Claim(
        "one-hit-faster",
        "One-hit freeze is consistently faster than SignGD",
        "A.3",
        "share of the iterates at which its distance to x* is the smaller",
        f"it is at least {MOST:g}",
    ),
    Claim(
        "two-hit-slower",
        "Two-hit sliding is slower than SignGD throughout",
        "A.3",
        "share of the iterates at which its distance to x* is the larger",
        f"it is at least {MOST:g}",
    ),
    Claim(
        "freezes-frequent",
        "Freezes of one-hit are frequent",
        "A.3, Fig. 9-10",
        "components frozen in a step, mean",
        "it is at least 1",
    ),
    Claim(
        "two-hits-sparse",
        "Two-hit events are sparser than freezes",
        'A.3, Fig. 9-10; "much sparser" there',
        "two-hit events over freezes",
        "the ratio is below 1/2",
    ),
    Claim(
        "two-hit-chatter",
        "Two-hit has no smoothing advantage: it chatters no less than SignGD around a sliding surface",
        "A.3; here for n = 2",
        f"largest |g_y| in the second half of the sliding arc, two-hit over SignGD, h = {SLIDING_STEP:g}",
        "the ratio is at least 0.99",
    ),
    Claim(
        "two-hit-fires",
        "The two-hit track keeps firing while the exact solution slides",
        "here: after a track step has put g_y on zero, (4.3) gives mu = 3 alpha / beta = 3 a",
        "two-hit events a step, second half of the run",
        f"it is above {FIRES:g}",
    ),
    Claim(
        "one-hit-chatter",
        "One-hit freeze chatters less than SignGD around a sliding surface",
        "here, n = 2",
        f"largest |g_y| in the second half of the sliding arc, one-hit over SignGD, h = {SLIDING_STEP:g}",
        "the ratio is below 1",
    ),
    Claim(
        "armijo-settles",
        "Backtracking on the sign direction settles near the adaptive step",
        "section 5, implementation notes; what it settles near is lost from the text",
        "median over the steps of (h by Armijo) / (||g||_1 / sum L_i), L_i by row sums",
        f"it is within a factor {CLOSE:g}",
    ),
    Claim(
        "armijo-faster",
        "Backtracking on the sign direction needs fewer iterations than the adaptive step",
        "here",
        f"iterations to {FRACTION:g} of the first gap, Armijo over adaptive (trials not counted)",
        "the ratio is below 1",
    ),
    Claim(
        "dimension",
        "Iterations of adaptive SignGD grow with the dimension",
        "section 7.3 (implied, not swept there)",
        f"iterations to {FRACTION:g} of the first gap over those at n = 10, same seed",
        "the ratio is above 1",
    ),
)
"""The paper's observations and this project's, in the order of the results page."""
