"""How many data a comparison needs: `engine plan --detect POINTS` and `engine evaluation power`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.errors import UsageError
from engine.statistics import detectable_by, questions_needed

EVEN = 50.0
POWER = 80.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A difference that is to be shown; all in points and percent.

    `discordant` is the share of data on which the two differ, None where it is not known: then it follows from
    `score`, about what both get, as if the two were right independently of each other.
    """

    detect: float
    score: float = EVEN
    discordant: float | None = None
    power: float = POWER

    def __post_init__(self) -> None:
        """Check that all are shares of a hundred.

        Raises:
            UsageError: one of them is not between 0 and 100, or there are fewer data to differ on than the difference.
        """
        for name in ("detect", "score", "discordant", "power"):
            value = getattr(self, name)
            if value is not None and not 0 < value < 100:
                raise UsageError(f"--{name} is {value!r}", hint="it must be between 0 and 100")
        if self.discordant is not None and self.detect > self.discordant:
            raise UsageError(
                f"--detect {self.detect:g} is more than --discordant {self.discordant:g}",
                hint="two runs are no further apart than the share of data on which they differ",
            )

    @property
    def share(self) -> float:
        """The share of data on which the two differ, as a fraction."""
        if self.discordant is not None:
            return self.discordant / 100
        return max(2 * self.score / 100 * (1 - self.score / 100), self.detect / 100)

    @property
    def needed(self) -> int:
        """How many data show the difference."""
        return questions_needed(self.detect / 100, discordant=self.share, power=self.power / 100)

    def shown_by(self, n: int) -> float:
        """The smallest difference that so many data show, in points."""
        return 100 * detectable_by(n, discordant=self.share, power=self.power / 100)

    @property
    def sentence(self) -> str:
        """How many data it takes, and what was assumed."""
        return (
            f"{self.needed} data show a difference of {self.detect:g} points in {self.power:g} of 100 comparisons, "
            f"where the two differ on {100 * self.share:.1f} % of the data"
        )

    def sentence_for(self, name: str, n: int) -> str:
        """Whether the data of a run are enough, and what they show."""
        enough = "are enough" if n >= self.needed else f"are too few, it takes {self.needed}"
        return (
            f"{name}: to show {self.detect:g} points its {n} data {enough}; they show {self.shown_by(n):.1f} "
            f"(differing on {100 * self.share:.1f} %)"
        )

    def as_dict(self) -> Mapping[str, Any]:
        """The answer as `--json` prints it; shares are fractions, the difference is in points."""
        told = {"detect_points": self.detect, "discordant": self.share, "power": self.power / 100}
        return {"needed": self.needed, **told}
