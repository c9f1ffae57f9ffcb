"""Well-known benchmarks by the names that people type, as `mbpp` or `near.ai/mbpp/1.0.0`, at a fixed commit of the hub.

An entry of the registry with such a name wins. The namespace `near.ai` and the version 1.0.0 are those of the seed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from engine.data import hub
from engine.data.chained import ChainedRows, MarkedRows
from engine.data.entries import LATEST, parse_version
from engine.data.rows import Rows
from engine.data.source import Source
from engine.errors import DatasetError

NAMESPACE, VERSION = "near.ai", "1.0.0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """Where a benchmark is held on the hub.

    `split` is what is evaluated where no subset is named. `parts` are configurations, or whole repositories, that
    make up the benchmark together: each is a split, the evaluated split of all of them is `split`, and rows get the
    name of their part as the field `mark`.
    """

    repository: str
    revision: str
    split: str
    licence: str
    config: str = ""
    parts: Sequence[str] = ()
    mark: str = ""
    revisions: Mapping[str, str] = field(default_factory=dict)
    """Of parts that are repositories: the name below `repository` and the commit."""

    @property
    def reference(self) -> str:
        """As `hf:owner/name@commit`, the commit in short; of several repositories the pattern of their names."""
        if self.revisions:
            return f"{hub.SCHEME}:{self.repository}/{{{','.join(self.revisions)}}}"
        return f"{hub.SCHEME}:{self.repository}{f'@{self.revision[:8]}' if self.revision else ''}"


LANGUAGES = ("bn", "de", "en", "es", "fr", "ja", "ru", "sw", "te", "th", "zh")
BBH_TASKS = (
    "boolean_expressions causal_judgement date_understanding disambiguation_qa dyck_languages formal_fallacies "
    "geometric_shapes hyperbaton logical_deduction_five_objects logical_deduction_seven_objects "
    "logical_deduction_three_objects movie_recommendation multistep_arithmetic_two navigate object_counting "
    "penguins_in_a_table reasoning_about_colored_objects ruin_names salient_translation_error_detection snarks "
    "sports_understanding temporal_sequences tracking_shuffled_objects_five_objects "
    "tracking_shuffled_objects_seven_objects tracking_shuffled_objects_three_objects web_of_lies word_sorting"
)
LIVE_BENCH = {
    "coding": "a958549fdd8aa57be0a3fafe7b205ffc160ed5f4",
    "data_analysis": "31b9661ff678df9958e2f7fa228427f4c858c1a1",
    "instruction_following": "0868379c4b5cf62aeacaf8be4f08fced815c81bb",
    "language": "3ada32a2e53d5e04e57fa503384cb85ce9116c40",
    "math": "bb66571c8ccf32d3df9e6f48b920d3770ff4aacb",
    "reasoning": "6fc6498a5dfba553f69f4413feabade1f1a2d384",
}
MBPP = ("google-research-datasets/mbpp", "4bb6404fdc6cacfda99d4ac4205087b89d32030c")
ARC = ("allenai/ai2_arc", "210d026faf9955653af8916fad021475a3f00453")


def _held(repository: str, revision: str, licence: str, config: str = "", *, split: str = "test") -> Held:
    return Held(repository=repository, revision=revision, split=split, licence=licence, config=config)


CATALOGUE = {
    "mbpp": _held(*MBPP, "CC BY 4.0", "full"),
    "mbpp_sanitized": _held(*MBPP, "CC BY 4.0", "sanitized"),
    "humaneval": _held("openai/openai_humaneval", "7dce6050a7d6d172f3cc5c32aa97f52fa1a2e544", "MIT"),
    "gsm8k": _held("openai/gsm8k", "740312add88f781978c0658806c59bc2815b9866", "MIT", "main"),
    "mgsm": Held(
        repository="juletxara/mgsm",
        revision="b2f13d426afe3be8d69a7e739b36724db8b66bbc",
        split="test",
        licence="CC BY 4.0",
        parts=LANGUAGES,
        mark="language",
    ),
    "math500": _held("HuggingFaceH4/MATH-500", "6e4ed1a2a79af7d8630a6b768ec859cb5af4d3be", "MIT"),
    "math": _held("DigitalLearningGmbH/MATH-lighteval", "0530c78699ea5e8eb5530600900e1f328b48acad", "MIT", "default"),
    "mmlu": _held("cais/mmlu", "c30699e8356da336a370243923dbaf21066bb9fe", "MIT", "all"),
    "mmlu_pro": _held("TIGER-Lab/MMLU-Pro", "527feea0afed1de15a8c115abf7be4c912123315", "MIT"),
    "hellaswag": _held("Rowan/hellaswag", "218ec52e09a7e7462a5400043bb9a69a41d06b76", "MIT", split="validation"),
    "arc_challenge": _held(*ARC, "CC BY-SA 4.0", "ARC-Challenge"),
    "arc_easy": _held(*ARC, "CC BY-SA 4.0", "ARC-Easy"),
    "drop": _held("EleutherAI/drop", "619386fc7ffe6dace3cc6d3483c69b164ebf6bf3", "CC BY-SA 4.0", split="validation"),
    "bbh": Held(
        repository="lukaemon/bbh",
        revision="982bb89fd79532a8ac676a61fc42eb1aeec63f99",
        split="test",
        licence="MIT",
        parts=tuple(BBH_TASKS.split()),
        mark="task",
    ),
    "ifeval": _held("google/IFEval", "966cd89545d6b6acfd7638bc708b98261ca58e84", "Apache 2.0", split="train"),
    "live_bench": Held(
        repository="livebench",
        revision="",
        split="test",
        licence="Apache 2.0",
        parts=tuple(LIVE_BENCH),
        mark="category",
        revisions=LIVE_BENCH,
    ),
    "simpleqa": _held("basicv8vc/SimpleQA", "", "MIT"),
}
ALIASES = {
    "arc": "arc_challenge",
    "big_bench_hard": "bbh",
    "human_eval": "humaneval",
    "livebench": "live_bench",
    "math_500": "math500",
    "mmlu-pro": "mmlu_pro",
    "openai_humaneval": "humaneval",
    "simple_qa": "simpleqa",
}


def catalogued(reference: str) -> str:
    """The name in the catalogue that a reference means: bare, or of the seed's namespace and version; else empty."""
    *namespace, rest = reference.strip("/").split("/", 1)
    name, _, version = rest.partition("/") if namespace == [NAMESPACE] else (reference, "", "")
    known = ALIASES.get(name.lower(), name.lower())
    fits = version in ("", LATEST) or parse_version(version) == parse_version(VERSION)
    return known if known in CATALOGUE and fits else ""


def open_catalogued(name: str, *, subset: str) -> tuple[Source, str]:
    """The dataset behind a name of the catalogue, and the split that is asked for or evaluated.

    Raises:
        DatasetError: the hub cannot be reached, or has no such dataset any more.
    """
    held = CATALOGUE[name]
    if held.parts:
        splits: dict[str, Callable[[], Rows]] = {held.split: partial(_whole, held, name)}
        splits.update({part: partial(_part, held, name, part) for part in held.parts})
    else:
        target = f"{held.repository}{f'@{held.revision}' if held.revision else ''}"
        splits = dict(_asked(name, target, held.config).splits)
    return Source(name=name, splits=splits), subset or held.split


def _asked(name: str, target: str, config: str) -> Source:
    try:
        source, _ = hub.open_source(target, subset=f"{config}/", cache=None)
    except DatasetError as error:
        raise DatasetError(
            f"dataset {name!r} is {CATALOGUE[name].reference}, and {error.message}",
            hint="go online once, give the path of a file or folder that holds it, or put one into the registry: "
            f"engine registry upload PATH --namespace {NAMESPACE} --name {name} --version {VERSION}",
        ) from error
    return source


def _whole(held: Held, name: str) -> Rows:
    return ChainedRows([_part(held, name, part) for part in held.parts])


def _part(held: Held, name: str, part: str) -> Rows:
    if held.revisions:
        source = _asked(name, f"{held.repository}/{part}@{held.revisions[part]}", "")
    else:
        source = _asked(name, f"{held.repository}@{held.revision}", part)
    return MarkedRows(source.split(held.split), held.mark, part)
