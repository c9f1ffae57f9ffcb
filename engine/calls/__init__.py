"""One call: cache, budget, limits, retry, endpoint, store."""
