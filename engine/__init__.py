"""An asynchronous engine for benchmarks of language models."""
