"""nosnoc (FESD, IPOPT) on an affine relay system: `python nosnoc_run.py problem.npz result.npz`, started by `peers.py`.

Timed are the steps alone: imports and the set-up of the nonlinear programs are not counted.
"""

from __future__ import annotations

import sys
import time

import casadi as ca
import nosnoc
import numpy as np


def solver(data: dict[str, np.ndarray]) -> nosnoc.NosnocSolver:
    """Return the solver of one step of length t_end / steps."""
    n, m = data["C"].shape[1], data["C"].shape[0]
    x = ca.SX.sym("x", n)
    surfaces = ca.mtimes(ca.DM(data["C"]), x) + ca.DM(data["d"])
    # One subsystem a relay (their regions are a Cartesian product): -B_i where its surface value is positive, +B_i below.
    fields = [ca.SX(np.column_stack([-data["B"][:, i], data["B"][:, i]])) for i in range(m)]
    model = nosnoc.NosnocModel(
        x=x,
        x0=data["starts"][0],
        f_0=ca.mtimes(ca.DM(data["A"]), x) + ca.DM(data["b"]),
        F=fields,
        S=[np.array([[1.0], [-1.0]])] * m,
        c=[surfaces[i] for i in range(m)],
    )
    options = nosnoc.NosnocOpts()
    options.n_s = int(data["stages"])
    options.N_finite_elements = 2
    options.terminal_time = float(data["t_end"]) / int(data["steps"])
    options.comp_tol = options.sigma_N = float(data["tolerance"])
    options.print_level = 0
    return nosnoc.NosnocSolver(options, model)


def main() -> None:
    data = dict(np.load(sys.argv[1]))
    prepared = solver(data)
    seconds, nodes, states, failed, switches = [], [], [], 0, 0
    for repeat in range(int(data["repeats"])):
        spent = 0.0
        for start in data["starts"]:
            began = time.perf_counter()
            loop = nosnoc.NosnocSimLooper(prepared, start, int(data["steps"]), print_level=0)
            loop.run()
            spent += time.perf_counter() - began
            if repeat == 0:
                found = loop.get_results()
                nodes.append(np.array(found["t_grid"]))
                states.append(np.array(found["X_sim"]).reshape(len(nodes[-1]), -1))
                failed += sum(status != nosnoc.Status.SUCCESS for status in loop.status)
                switches += len(loop.switch_times)
        seconds.append(spent)
    np.savez(sys.argv[2], seconds=seconds, nodes=nodes, states=states, failed=failed, switches=switches)


if __name__ == "__main__":
    main()
