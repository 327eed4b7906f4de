"""Siconos on an affine relay system: `python3 siconos_run.py problem.npz result.npz`, started by `peers.py`.

Runs in the interpreter that can import Siconos, so it imports nothing else but numpy and the standard library. Timed is what a
user of a prepared session waits for: building the model and all steps, without imports.
"""

import sys
import time

import numpy as np
import siconos.kernel as sk
import siconos.numerics as sn

# Steps between two looks at the clock.
LOOK = 256


def run(data, start, limit):
    """Return (seconds, states at the reports, time reached) from one start."""
    steps, every = int(data["steps"]), int(data["every"])
    began = time.perf_counter()
    h = float(data["t_end"]) / steps
    dynamics = sk.FirstOrderLinearDS(start, data["A"], data["b"])
    relation = sk.FirstOrderLinearTIR(data["C"], data["B"])
    relation.setePtr(data["d"])
    interaction = sk.Interaction(sk.RelayNSL(data["C"].shape[0], -1.0, 1.0), relation)
    model = sk.NonSmoothDynamicalSystem(0.0, float(data["t_end"]) + h)
    model.insertDynamicalSystem(dynamics)
    model.link(interaction, dynamics)
    simulation = sk.TimeStepping(model, sk.TimeDiscretisation(0.0, h))
    simulation.insertIntegrator(sk.EulerMoreauOSI(float(data["theta"])))
    simulation.insertNonSmoothProblem(sk.Relay(sn.SICONOS_RELAY_AVI_CAOFERRIS))
    states = [start.copy()]
    k = 0
    while k < steps:
        simulation.computeOneStep()
        k += 1
        if k % every == 0:
            states.append(dynamics.x().copy())
        simulation.nextStep()
        if k % LOOK == 0 and time.perf_counter() - began > limit:
            break
    return time.perf_counter() - began, np.array(states), k / steps * float(data["t_end"])


def main():
    data = dict(np.load(sys.argv[1]))
    seconds, states, reached = [], [], float(data["t_end"])
    for repeat in range(int(data["repeats"])):
        spent = 0.0
        for start in data["starts"]:
            took, found, to = run(data, start, float(data["limit"]))
            spent += took
            reached = min(reached, to)
            if repeat == 0:
                states.append(found)
        seconds.append(spent)
        if reached < float(data["t_end"]):
            break
    shortest = min(len(found) for found in states)
    np.savez(sys.argv[2], seconds=seconds, states=[found[:shortest] for found in states], reached=reached)


if __name__ == "__main__":
    main()
