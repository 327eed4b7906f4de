"""Proofs of whole segments: the residuals of the inclusion in rational or interval arithmetic."""
