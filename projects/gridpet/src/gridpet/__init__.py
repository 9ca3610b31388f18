"""Measure flat objects on a printed grid from one photograph; each photo leaves a run you can trust."""

__version__ = "0.1.0"
