"""Convex sets by support function, projection and least quadratic form."""

from __future__ import annotations

from filippov.sets.ball import Ball
from filippov.sets.box import Box
from filippov.sets.convex_set import ConvexSet
from filippov.sets.hull import Hull
from filippov.sets.join import Join
from filippov.sets.product import Product
from filippov.sets.scaled import Scaled

__all__ = ["Ball", "Box", "ConvexSet", "Hull", "Join", "Product", "Scaled"]
