"""Solvers, one file each; `from solvers import SolverStrategy` is the way in for a new one."""

from .strategy import Outcome, Score, Session, SolverScoringMethod, SolverStrategy, Text

__all__ = ["Outcome", "Score", "Session", "SolverScoringMethod", "SolverStrategy", "Text"]
