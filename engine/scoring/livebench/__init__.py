"""The official scorers of LiveBench, one file a task; each gives a score in 0-1.

Source: White et al. 2024, "LiveBench: A Challenging, Contamination-Free LLM Benchmark", arXiv 2406.19314, and its
    repository LiveBench/LiveBench, `livebench/process_results`.
"""

VERSION = 2
