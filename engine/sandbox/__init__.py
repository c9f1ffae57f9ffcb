"""Running code that a model wrote: the tests judge it from a process of their own, and it cannot leave its own.

`docs/sandbox.md` says what is held and how; `inside` is what runs in the confined processes.
"""

from engine.sandbox.records import CodeVerdict, Level, Result
from engine.sandbox.sandbox import Sandbox

__all__ = ["CodeVerdict", "Level", "Result", "Sandbox"]
