"""An asynchronous engine for benchmarks of language models.

`Engine` is the engine as a library; `SolverStrategy` is what a solver inherits from, wherever its file stands.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what `__getattr__` gives, as type checkers and editors see it
    from engine.api import Engine
    from engine.records import Outcome, Score
    from solvers.strategy import SolverScoringMethod, SolverStrategy

__all__ = ["Engine", "Outcome", "Score", "SolverScoringMethod", "SolverStrategy"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Public names, loaded when first asked for: `import engine` costs nothing."""
    if name == "Engine":
        from engine.api import Engine

        return Engine
    if name in ("Outcome", "Score"):
        from engine import records

        return getattr(records, name)
    if name in ("SolverStrategy", "SolverScoringMethod"):
        from engine.load import built_in

        return getattr(built_in("solvers"), name)
    raise AttributeError(f"module 'engine' has no attribute {name!r}")
