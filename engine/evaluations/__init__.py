"""Recorded runs: made, tabulated, ranked, compared and exported."""
