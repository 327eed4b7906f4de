"""Faces of polyhedral unit balls as modes of a flow."""

from flows.faces.face import LEVEL, Curvature, Face, FaceCandidate, FaceFamily, ThirdDerivative
from flows.faces.greedy import GreedyFace, GreedyFaces
from flows.faces.sign import SignFace, SignFaces
from flows.faces.top_k import TopKFaces
from flows.faces.top_k_face import TopKFace
from flows.faces.vertex import VertexFace, VertexFaces

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
    "TopKFace",
    "TopKFaces",
    "VertexFace",
    "VertexFaces",
]
