"""What each norm brings to its flow: faces, surfaces and motion."""

from flows.geometry.dispatch import geometry_of
from flows.geometry.geometry import Geometry, Undecided, attains_all

__all__ = ["Geometry", "Undecided", "attains_all", "geometry_of"]
