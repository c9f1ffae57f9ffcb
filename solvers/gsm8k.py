"""GSM8K: grade school word problems, answered step by step after eight published examples.

Source: problems and reference answers Cobbe et al. 2021, arXiv 2110.14168; examples and prompt format Wei et
    al. 2022, arXiv 2201.11903, appendix, table 20; nearai's `GSM8KSolverStrategy` gave the name.
Differs: nearai put rows of the train split into a system message, asked a second time for the number alone
    and cut its decimals off; here one call is made and the number is read exactly, see `engine.scoring.number`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from hashlib import blake2b
from typing import Any, NamedTuple

from engine.errors import SolverError
from engine.records import Outcome, Score
from engine.scoring.number import extract_marked, extract_number, gold_number, same_number, show_number
from engine.scoring.thoughts import spoken

from .strategy import SolverStrategy


class Example(NamedTuple):
    """A worked problem."""

    question: str
    answer: str


EXEMPLARS = (
    Example(
        question=(
            "There are 15 trees in the grove. Grove workers will plant trees in the grove today. After they are "
            "done, there will be 21 trees. How many trees did the grove workers plant today?"
        ),
        answer=(
            "There are 15 trees originally. Then there were 21 trees after some more were planted. So there must "
            "have been 21 - 15 = 6. The answer is 6."
        ),
    ),
    Example(
        question="If there are 3 cars in the parking lot and 2 more cars arrive, how many cars are in the parking lot?",
        answer="There are originally 3 cars. 2 more cars arrive. 3 + 2 = 5. The answer is 5.",
    ),
    Example(
        question=(
            "Leah had 32 chocolates and her sister had 42. If they ate 35, how many pieces do they have left in total?"
        ),
        answer=(
            "Originally, Leah had 32 chocolates. Her sister had 42. So in total they had 32 + 42 = 74. After "
            "eating 35, they had 74 - 35 = 39. The answer is 39."
        ),
    ),
    Example(
        question=(
            "Jason had 20 lollipops. He gave Denny some lollipops. Now Jason has 12 lollipops. How many lollipops"
            " did Jason give to Denny?"
        ),
        answer=(
            "Jason started with 20 lollipops. Then he had 12 after giving some to Denny. So he gave Denny 20 - 12"
            " = 8. The answer is 8."
        ),
    ),
    Example(
        question=(
            "Shawn has five toys. For Christmas, he got two toys each from his mom and dad. How many toys does he"
            " have now?"
        ),
        answer=(
            "Shawn started with 5 toys. If he got 2 toys each from his mom and dad, then that is 4 more toys. 5 +"
            " 4 = 9. The answer is 9."
        ),
    ),
    Example(
        question=(
            "There were nine computers in the server room. Five more computers were installed each day, from "
            "monday to thursday. How many computers are now in the server room?"
        ),
        answer=(
            "There were originally 9 computers. For each of 4 days, 5 more computers were added. So 5 * 4 = 20 "
            "computers were added. 9 + 20 is 29. The answer is 29."
        ),
    ),
    Example(
        question=(
            "Michael had 58 golf balls. On tuesday, he lost 23 golf balls. On wednesday, he lost 2 more. How many"
            " golf balls did he have at the end of wednesday?"
        ),
        answer=(
            "Michael started with 58 golf balls. After losing 23 on tuesday, he had 58 - 23 = 35. After losing 2 "
            "more, he had 35 - 2 = 33 golf balls. The answer is 33."
        ),
    ),
    Example(
        question="Olivia has $23. She bought five bagels for $3 each. How much money does she have left?",
        answer=(
            "Olivia had 23 dollars. 5 bagels for 3 dollars each will be 5 x 3 = 15 dollars. So she has 23 - 15 "
            "dollars left. 23 - 15 is 8. The answer is 8."
        ),
    ),
)
NEXT_PROBLEM = re.compile(r"\nQ:")
CALCULATION = re.compile(r"<<[^<>\n]{1,200}>>")
"""How the dataset's own rationales mark a sum, `<<48/2=24>>`; such a rationale ends with a marked answer."""
LOOKED_AT = 200
"""Characters at the end of a reply that holds no number which are kept with the task."""


class GSM8KSolverStrategy(SolverStrategy):
    """Asks each problem once, after worked examples, and compares the reply's answer as an exact number."""

    def __init__(
        self, dataset_ref: Any, model: str = "", agent: str = "", *, shots: int = len(EXEMPLARS), system: str = ""
    ) -> None:
        if not 0 <= shots <= len(EXEMPLARS):
            raise SolverError(
                f"solver 'GSM8KSolverStrategy': shots is {shots!r}", hint=f"there are 0 to {len(EXEMPLARS)} examples"
            )
        super().__init__(model, agent)
        self.dataset_ref = dataset_ref
        self.shots = shots
        self.system = system

    def evaluation_name(self) -> str:
        """`gsm8k_8shots`, and a mark of the system message where there is one."""
        mark = f"_system_{blake2b(self.system.encode(), digest_size=4).hexdigest()}" if self.system else ""
        return f"gsm8k_{self.shots}shots{mark}"

    def compatible_datasets(self) -> list[str]:
        """`gsm8k`."""
        return ["gsm8k"]

    async def solve(self, datum: dict[str, Any]) -> Score:
        """Passed where the reply's answer equals the reference as a number; unparsed where it holds no number.

        Raises:
            SolverError: the row lacks `question` or `answer`, or the answer holds no number.
        """
        question, gold = read_row(datum)
        session = self.start_inference_session(question[:60])
        if self.system:
            session.add_system_message(self.system)
        text = await session.run_task(self.prompt(question))
        given = read_reply(spoken(text), cut=text.finish_reason == "length")
        if given is None:
            return Score(value=0.0, outcome=Outcome.UNPARSED, info={"looked_at": str(text[-LOOKED_AT:])})
        return Score(value=float(same_number(given, gold)), answer=show_number(given))

    def prompt(self, question: str) -> str:
        """The examples, less one that is the question itself, then the question word for word."""
        shown = [example for example in EXEMPLARS[: self.shots] if example.question.strip() != question.strip()]
        examples = "".join(f"Q: {asked}\nA: {answered}\n\n" for asked, answered in shown)
        return f"{examples}Q: {question}\nA:"


def read_row(datum: Mapping[str, Any]) -> tuple[str, Decimal]:
    """Question and reference answer of a row.

    Raises:
        SolverError: a field is missing, or the answer is neither `... #### 18` nor a number.
    """
    for name in ("question", "answer"):
        if name not in datum:
            raise SolverError(
                f"solver 'GSM8KSolverStrategy': the row has no field {name!r}",
                hint=f"it needs question and answer, and has: {', '.join(datum) or 'nothing'}",
            )
    gold = gold_number(str(datum["answer"]))
    if gold is None:
        raise SolverError(
            f"solver 'GSM8KSolverStrategy': field 'answer' is {datum['answer']!r:.120}",
            hint="it ends with '#### ' and a number, or is a number",
        )
    return str(datum["question"]), gold


def read_reply(text: str, *, cut: bool = False) -> Decimal | None:
    """The answer in a reply, None where there is none; a model that goes on to a next problem is not followed.

    Of a reply that was cut at its length limit only a marked answer counts: the last number of half a
    rationale is no answer. So it is with a rationale in the dataset's own form, whatever ended it.
    """
    own = NEXT_PROBLEM.split(text, maxsplit=1)[0]
    answer = extract_marked(own)
    if answer is None and CALCULATION.search(own):
        return None
    if answer is None and (not cut or len(own) < len(text)):
        answer = extract_number(own)
    return extract_number(text) if answer is None and not cut else answer
