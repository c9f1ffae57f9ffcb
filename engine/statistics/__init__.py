"""How sure we are: intervals around a score, paired comparisons, corrections for many of them, and power.

Nothing is imported for right and wrong answers; scipy comes in where Student's t is needed, numpy for resampling.
"""

from engine.statistics.bootstrap import Resampled, resampled_mean
from engine.statistics.intervals import (
    ClusteredMean,
    Interval,
    clustered_error,
    clustered_interval,
    mean_interval,
    quantile_interval,
    score_interval,
    student_quantile,
    wilson,
)
from engine.statistics.many import holm, rank_ranges
from engine.statistics.paired import (
    PairedResult,
    Table,
    compare_paired,
    mcnemar_exact,
    newcombe_paired,
)
from engine.statistics.power import detectable, detectable_by, discordant_error, questions_needed
from engine.statistics.unpaired import fisher_exact, welch

__all__ = [
    "ClusteredMean",
    "Interval",
    "PairedResult",
    "Resampled",
    "Table",
    "clustered_error",
    "clustered_interval",
    "compare_paired",
    "detectable",
    "detectable_by",
    "discordant_error",
    "fisher_exact",
    "holm",
    "mcnemar_exact",
    "mean_interval",
    "newcombe_paired",
    "quantile_interval",
    "questions_needed",
    "rank_ranges",
    "resampled_mean",
    "score_interval",
    "student_quantile",
    "welch",
    "wilson",
]
