"""What ships, for `engine benchmarks`: which data a solver is for, what it measures, and how far that was checked.

Kept apart from the solvers, whose files are part of a run's identity: better words here make no new run.
"""

from __future__ import annotations

from typing import NamedTuple


class Shipped(NamedTuple):
    """One benchmark: its names in the catalogue, the rows that are evaluated, and how it was verified."""

    solver: str
    names: tuple[str, ...]
    rows: str
    paper: str
    metrics: str
    kind: str
    """`recordings`: real models' answers have their published verdicts. `official scorer`: compared with it on made
    replies. `references`: the reference programs of all rows pass. `prompts`: prompt and reading of replies are the
    published ones, no recording was at hand."""
    verified: str


SHIPPED = (
    Shipped(
        "GSM8KSolverStrategy", ("gsm8k",), "1319", "arXiv 2110.14168", "accuracy", "recordings",
        "two models of the paper, 2638 answers: 286 and 742 right, as published, row by row",
    ),
    Shipped(
        "MATH500SolverStrategy", ("math500", "math"), "500; 5000", "arXiv 2103.03874, 2305.20050",
        "accuracy; by subject, by level", "recordings",
        "a Qwen model, 400 answers to 100 problems: 364 right, as published, answer by answer",
    ),
    Shipped(
        "MGSMSolverStrategy", ("mgsm",), "11 x 250", "arXiv 2210.03057", "accuracy; by language, by script",
        "prompts", "instructions and answer words are simple-evals', word for word",
    ),
    Shipped(
        "MMLUSolverStrategy", ("mmlu",), "14042", "arXiv 2009.03300", "accuracy; by subject, by category",
        "prompts", "the prompt is the paper's; letters are read from hand-made replies in seventy forms",
    ),
    Shipped(
        "MMLUProSolverStrategy", ("mmlu_pro",), "12032", "arXiv 2406.01574", "accuracy; by category, over categories",
        "recordings", "Llama-3.1-8B-Instruct, 3000 answers: 1259 right, as published; each letter is the published one",
    ),
    Shipped(
        "ARCSolverStrategy", ("arc_challenge", "arc_easy"), "1172; 2376", "arXiv 1803.05457", "accuracy",
        "prompts", "letters as for MMLU; the paper has no prompt for language models",
    ),
    Shipped(
        "HellaswagSolverStrategy", ("hellaswag",), "10042", "arXiv 1905.07830", "accuracy",
        "prompts", "letters as for MMLU; upstream compares log-likelihoods and has no prompt",
    ),
    Shipped(
        "BBHSolverStrategy", ("bbh",), "6511", "arXiv 2210.09261", "accuracy; by task, over tasks",
        "recordings", "code-davinci-002 direct, 6511 answers: 3408 right, mean over files 52.76 %, as published",
    ),
    Shipped(
        "DROPSolverStrategy", ("drop",), "9536", "arXiv 1903.00161", "F1; exact match",
        "official scorer", "10 000 pairs of answer and reference have the official exact match and F1",
    ),
    Shipped(
        "IFEvalSolverStrategy", ("ifeval",), "541", "arXiv 2311.07911",
        "prompts and instructions, strict and loose; by kind of instruction", "recordings",
        "three models, 2496 verdicts on instructions: all strict ones are the published ones, 5 loose ones differ",
    ),
    Shipped(
        "LiveBenchSolverStrategy", ("live_bench",), "by release", "arXiv 2406.19314", "average; by category, by task",
        "recordings", "one model, 732 answers of 13 tasks: every score is the official one; coding is not scored",
    ),
    Shipped(
        "HumanEvalSolverStrategy", ("humaneval",), "164", "arXiv 2107.03374", "pass@1, pass@k",
        "recordings", "two runs of GPT-4: 150 and 134 pass, as published, row by row; all 164 references pass",
    ),
    Shipped(
        "MBPPSolverStrategy", ("mbpp", "mbpp_sanitized"), "500; 257", "arXiv 2108.07732", "pass@1, pass@k",
        "references", "the references of all 974 and 427 rows pass; the prompt is the paper's",
    ),
    Shipped(
        "SimpleQASolverStrategy", ("simpleqa",), "4326", "arXiv 2411.04368",
        "correct, incorrect, not attempted; F1", "prompts", "the grader's prompt is the published one; a model judges",
    ),
)  # fmt: skip
FURTHER = (
    ("MajorityVoteStrategy", "another solver's answers by vote"),
    ("PairwiseSolver", "which of two answers a judge prefers, in both orders"),
    ("TemplateSolver", "any dataset, by templates and a scorer's name"),
    ("ThreeDigitAdditionSolver", "the tutorial's sums"),
)
WANTED = (
    ("GPQA", "its questions may not be shown in the open; needs a reader for the gated dataset"),
    ("LiveCodeBench", "programs that read standard input, in the sandbox"),
    ("LiveBench coding", "its tests need libraries that the sandbox does not hold"),
    ("SWE-bench Verified", "an agent, and a container for each repository"),
    ("TruthfulQA MC1, MC2", "log-likelihoods, which chat endpoints do not give"),
    ("MMMU", "images in messages"),
)
