"""The language that a text is in."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

SEED = 0
"""The detector draws at random; a fixed seed makes one text always one language."""


def language(text: str) -> str | None:
    """ISO 639-1 code of the text's language, as `en` or `zh-cn`; None where the text has no letters to tell by.

    Source: Nakatani 2010, language-detection, as the library `langdetect` ports it.
    Differs: seeded, and its profiles are read in the order of their names, so that the verdict on a text is the
        same on every machine.
    """
    from langdetect import LangDetectException  # type: ignore[import-untyped]

    detector = _factory().create()
    detector.seed = SEED
    detector.append(text)
    try:
        return str(detector.detect())
    except LangDetectException:
        return None


@lru_cache(maxsize=1)
def _factory() -> Any:
    """The detector's profiles of 55 languages, read once a process; a factory of our own, not the library's."""
    from langdetect import PROFILES_DIRECTORY
    from langdetect.detector_factory import DetectorFactory  # type: ignore[import-untyped]

    profiles = sorted(path for path in Path(PROFILES_DIRECTORY).iterdir() if not path.name.startswith("."))
    factory = DetectorFactory()
    factory.load_json_profile([path.read_text(encoding="utf-8") for path in profiles if path.is_file()])
    return factory
