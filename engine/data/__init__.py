"""Dataset references and the rows behind them."""

from __future__ import annotations

from engine.data.ids import datum_id
from engine.data.reference import open_dataset
from engine.data.view import DatasetView

__all__ = ["DatasetView", "datum_id", "open_dataset"]
