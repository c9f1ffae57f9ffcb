"""MGSM: grade school word problems in eleven languages, answered step by step in the language of the problem.

Source: problems Shi et al. 2022, arXiv 2210.03057; instructions, answer words and reading of the answer from
    OpenAI's simple-evals, `mgsm_eval.py` (MIT License, Copyright (c) 2024 OpenAI), word for word, also where a
    character is missing there.
Differs: a reply without the answer word is read as one of GSM8K; negative numbers are read, and digits of any script
    (Bengali, Thai), which upstream takes for another number; languages that are not asked for in their own words
    there are not known here either.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from engine.errors import SolverError
from engine.records import Score
from engine.scoring.number import extract_marked, extract_number, gold_number, same_number, show_number
from engine.scoring.thoughts import spoken
from solvers.rows import text_of, unread, wrong
from solvers.strategy import SolverStrategy

# fmt: off
INSTRUCTIONS = {
    "bn": 'এই গণিতের সমস্যাটি সমাধান করুন। চূড়ান্ত উত্তর দেওয়ার আগে যুক্তিসম্পন্ন পদক্ষেপ প্রদান করুন। চূড়ান্ত উত্তরটি একক সংখ্যা হিসাবে "উত্তর:" এর পরে শেষ লাইনে দিন। "উত্তর:" এর পরে অন্য কিছু যুক্ত করবেন না।.',  # noqa: E501
    "de": 'Löse dieses Mathematikproblem. Gib die Schritte zur Begründung an, bevor du die endgültige Antwort in der letzten Zeile alleine im Format "Antwort:" gibst. Füge nichts anderes als die ganzzahlige Antwort nach "Antwort:" hinzu.',  # noqa: E501
    "en": 'Solve this math problem. Give the reasoning steps before giving the final answer on the last line by itself in the format of "Answer:". Do not add anything other than the integer answer after "Answer:".',  # noqa: E501
    "es": 'Resuelve este problema matemático. Proporciona los pasos de razonamiento antes de dar la respuesta final en la última línea por sí misma en el formato de "Respuesta:". No añadas nada más que la respuesta entera después de "Respuesta:".',  # noqa: E501
    "fr": "Résolvez ce problème de mathématiques. Donnez les étapes de raisonnement avant de fournir la réponse finale sur la dernière ligne elle-même dans le format de \"Réponse:\". N'ajoutez rien d'autre que la réponse entière après \"Réponse:\".",  # noqa: E501
    "ja": 'の数学の問題を解いてください。最終的な答えを出す前に、解答の推論過程を記述してください。そして最後の行には "答え:" の形式で答えを記述し、その後には整数の答え以外何も追加しないでください。',  # noqa: E501
    "ru": 'Решите эту математическую задачу. Объясните шаги рассуждения перед тем, как дать окончательный ответ в последней строке сам по себе в формате "Ответ:". Не добавляйте ничего, кроме целочисленного ответа после "Ответ:".',  # noqa: E501, RUF001
    "sw": 'Suluhisha tatizo hili la hesabu. Toa hatua za mantiki kabla ya kutoa jibu la mwisho kwenye mstari wa mwisho peke yake katika muundo wa "Jibu:". Usiongeze chochote kingine isipokuwa jibu la integer baada ya "Jibu:".',  # noqa: E501
    "te": "ఈ గణిత సమస్యను పరిష్కరించండి. చివరి సమాధానాన్ని ఇవ్వదానికి ముందు తర్కాత్మక అదుగులను ఇవ్వండి. చివరి పంక్తిలో మాత్రమే 'సమాధానం:' అనే ఆకారంలో చివరి సమాధానాద్ని ఇవ్వండి సమాధానం: తర్వాత పూర్ణాంక సమాధానానికి తప్పించి ఎదేనా చేర్చవద్దు.",  # noqa: E501
    "th": 'แก้ปัญหาคณิตศาสตร์นี้ ให้ให้ขั้นตอนการใช้เหตุผลก่อนที่จะให้คำตอบสุดท้ายในบรรทัดสุดท้ายโดยอยู่ในรูปแบบ "คำตอบ:" ไม่ควรเพิ่มอะไรนอกจากคำตอบที่เป็นจำนวนเต็มหลังจาก "คำตอบ:"',  # noqa: E501
    "zh": '解决这个数学问题。在最后一行给出答案前，请提供推理步骤。最后一行应该以 "答案: " 的形式独立给出答案。在 "答案：" 后不要添加除整数答案之外的任何内容。',  # noqa: E501, RUF001
}
# fmt: on
ANSWER_WORDS = {
    "bn": "উত্তর",
    "de": "Antwort",
    "en": "Answer",
    "es": "Respuesta",
    "fr": "Réponse",
    "ja": "答え",
    "ru": "Ответ",
    "sw": "Jibu",
    "te": "సమాధానం",
    "th": "คำตอบ",
    "zh": "答案",
}
LATIN = frozenset({"de", "en", "es", "fr", "sw"})
NUMBER = re.compile(r"(?:(?<![\w)\]}])-)?\d+(?:\.\d+)?")


class MGSMSolverStrategy(SolverStrategy):
    """Asks each problem once, and compares the reply's answer as an exact number.

    Args:
        dataset_ref: rows with `question`, `answer` or `answer_number`, and `language`.
        model: the model's name.
        agent: the agent's folder.
        language: the language of all rows, where they do not have it as a field.
    """

    def __init__(self, dataset_ref: Any, model: str = "", agent: str = "", *, language: str = "") -> None:
        super().__init__(model, agent)
        if language and language not in INSTRUCTIONS:
            raise SolverError(
                f"solver {self.name!r}: language is {language!r}", hint=f"known: {', '.join(INSTRUCTIONS)}"
            )
        self.dataset_ref = dataset_ref
        self.language = language

    def evaluation_name(self) -> str:
        """`mgsm`, or `mgsm_sw` where a language is given by option."""
        return f"mgsm_{self.language}" if self.language else "mgsm"

    def compatible_datasets(self) -> list[str]:
        """`mgsm`."""
        return ["mgsm"]

    async def solve(self, datum: dict[str, Any]) -> Score:
        """Passed where the answer equals the reference as a number; metrics per language and script.

        Raises:
            SolverError: the row lacks a field, or one cannot be used.
        """
        question = text_of(datum, "question", solver=self.name)
        gold = gold_number(text_of(datum, "answer_number", "answer", solver=self.name))
        if gold is None:
            raise wrong(datum, "answer_number", "answer", solver=self.name, wanted="a number")
        language = self.language or text_of(datum, "language", solver=self.name)
        if language not in INSTRUCTIONS:
            raise wrong({"language": language}, "language", solver=self.name, wanted=", ".join(INSTRUCTIONS))
        tags = (f"language/{language}", "script/latin" if language in LATIN else "script/other")
        session = self.start_inference_session(question[:60])
        text = await session.run_task(f"{INSTRUCTIONS[language]}\n\n{question}")
        given = read_reply(spoken(text), ANSWER_WORDS[language], cut=text.finish_reason == "length")
        if given is None:
            return unread(text, tags=tags)
        return Score(value=float(same_number(given, gold)), answer=show_number(given), tags=tags)

    def further_metrics(self, means: Mapping[str, float]) -> dict[str, float]:
        """`mean_over_languages`: each language counts the same, where the score counts each row."""
        values = [value for name, value in means.items() if name.startswith("language/")]
        return {"mean_over_languages": sum(values) / len(values)} if values else {}


def read_reply(text: str, word: str, *, cut: bool = False) -> Decimal | None:
    """The last number behind the last answer word; without the word, as a reply to GSM8K; None where there is none."""
    _, found, behind = text.rpartition(word)
    if found:
        numbers = NUMBER.findall(behind.replace(",", ""))
        return Decimal(numbers[-1]) if numbers else None
    return extract_marked(text, labels=(word,)) if cut else extract_number(text, labels=(word,))
