"""Faces of polyhedral unit balls as modes of a flow."""

from flows.faces.face import LEVEL, Curvature, Face, FaceCandidate, FaceFamily, ThirdDerivative
from flows.faces.greedy import GreedyFace, GreedyFaces
from flows.faces.sign import SignFace, SignFaces

__all__ = [
    "LEVEL",
    "Curvature",
    "Face",
    "FaceCandidate",
    "FaceFamily",
    "GreedyFace",
    "GreedyFaces",
    "SignFace",
    "SignFaces",
    "ThirdDerivative",
]
