"""A Parquet file: a row for each metric of each evaluation, numbers as numbers."""

from __future__ import annotations

from io import BytesIO

from engine.evaluations.exports import Chosen
from engine.evaluations.exports.rows import ABOUT, FIGURE, figures


async def export(chosen: Chosen) -> bytes:
    """The rows of `figures`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    floats = ("created_at", "value", "ci_low", "ci_high", "stderr")
    kinds = {
        **dict.fromkeys((*ABOUT, *FIGURE), pa.string()),
        **dict.fromkeys(floats, pa.float64()),
        **dict.fromkeys(("n", "lost"), pa.int64()),
        "higher_is_better": pa.bool_(),
    }
    rows = pa.Table.from_pylist(list(figures(chosen.evaluations)), schema=pa.schema(list(kinds.items())))
    content = BytesIO()
    pq.write_table(rows, content)
    return content.getvalue()
