r"""Where sentences end, and which tokens a text has.

Source: Kiss and Strunk 2006, "Unsupervised Multilingual Sentence Boundary Detection", as NLTK's `punkt` decides
    for English text; tokens as in the Penn Treebank.
Differs: punkt has learned its abbreviations and the words that it has seen in lower case from a newspaper and
    downloads them; here both are short lists of common English words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

CANDIDATE = re.compile(r"(?<=[.?!])(?:(?=[)\";}\]*:@'({\[])|(?P<gap>\s+)(?=\S))")
SPACE = re.compile(r"\s")
CLOSING = re.compile(r"[\"')\]}]+?(?:\s+|(?=--)|\Z)")
WORD_START = re.compile(r"[(\"`{\[:;&#*@)}\]\-,'_/]*")
NUMBER = re.compile(r"-?[.,]?\d[\d,.-]*\Z")
INITIAL = re.compile(r"[^\W\d]\Z")
LISTING = "abi"
"""Letters that more often number a list than begin a name."""
FIRST_NAME = re.compile(r"[^\W\d]\.")
LOOK_BACK = 80
"""Characters before a full stop in which its word is looked for."""

ABBREVIATIONS = frozenset(
    """
    a.a a.c a.d a.g a.h a.m a.m.e a.s a.t adm ala ariz aug ave b.f b.v bros c c.i.t c.o.m.b c.v calif chg cie co
    col colo conn corp cos ct d d.c d.h d.w dec dr e e.f e.h e.l e.m f f.g f.j feb fla fri ft g g.d g.f g.k ga
    gen h h.c h.f h.m i.m.s ill inc j.b j.c j.j j.k j.p j.r jan jr k kan ky l l.a l.f l.p lt ltd m m.b.a m.d.c
    m.j maj messrs mg mich minn mr mrs ms n n.c n.d n.h n.j n.m n.v n.y nev nov oct ok okla ore p p.a.m p.m pa
    ph.d prof r r.a r.h r.i r.j r.k r.t rep reps s s.a s.a.y s.c s.g s.p.a s.s sen sep sept sr st sw t t.j tenn
    tues u.k u.n u.s u.s.a u.s.s.r v va vs vt w w.c w.r w.va w.w wash wed wis yr
    """.split()  # noqa: SIM905 - a paragraph of words reads better than a hundred strings
)
COMMON = frozenset(
    """
    a about above according additionally after again all along also although always among an and another any
    anyone anything are around as ask at avoid be because before being below besides between both but by can
    check choose consider could despite did do does don don't during each either even eventually every everyone
    everything finally find first following for from furthermore get give given go had has have he hence her here
    hers herself him himself his how however i'm if imagine in indeed instead into is isn't it it's its itself
    just keep last later learn let like look make many maybe me meanwhile more moreover most much my never next no
    none nor not nothing now of often on once one only or other others our out over overall perhaps please put
    rather remember second see several she should similarly since so some someone something soon start still such
    take than thank that the their them then there therefore these they they're third this those though through
    thus to today together too try two under unfortunately until up upon use very was we we're well were what
    when where whether which while who whose why will with within without would write yes yet you you're your
    can't won't there's that's here's what's let's he's she's i've we've you've i'll we'll you'll it'll
    """.split()  # noqa: SIM905 - a paragraph of words reads better than a hundred strings
)
TOKEN_BREAK = re.compile(
    r"\s+|(?P<mark>[;@#$%&?!\"()\[\]{}<>“”«»„\u2018\u2019]|--|\.\.\.|``|''|[:,](?!\d)|(?<=[^'\s])'(?=\s|\Z))"
    r"|(?=(?:'s|'m|'d|'ll|'re|'ve|n't)(?![^\W\d_]))",
    re.IGNORECASE,
)
TWO_WORDS = re.compile(
    r"\b(can)(not)\b|\b(gim)(me)\b|\b(gon)(na)\b|\b(got)(ta)\b|\b(lem)(me)\b|\b(wan)(na)\b", re.IGNORECASE
)


def sentences(text: str) -> list[str]:
    """The sentences of an English text, without the white space between them."""
    found, begin = [], 0
    for match in _candidates(text):
        if not _ends(text, match.start(), match.end()):
            continue
        found.append(text[begin : match.start()])
        begin = match.end()
    found.append(text[begin:])
    return [piece.strip() for piece in _closed(found) if piece.strip()]


def tokens(text: str) -> list[str]:
    """Words and marks of a text; contractions are two tokens, words with hyphens one."""
    spaced = TWO_WORDS.sub(lambda match: " ".join(part for part in match.groups() if part), text)
    return [piece for piece in TOKEN_BREAK.split(spaced) if piece and not piece.isspace()]


def _candidates(text: str) -> Iterator[re.Match[str]]:
    """Where a sentence may end: of several marks without white space between them, the last."""
    last: re.Match[str] | None = None
    for match in CANDIDATE.finditer(text):
        if last is not None and (last["gap"] or SPACE.search(text, last.end(), match.start())):
            yield last
        last = match
    if last is not None:
        yield last


def _closed(pieces: list[str]) -> list[str]:
    """The pieces, with quotes and brackets that close a sentence moved to its end."""
    closed: list[str] = []
    for piece in pieces:
        end = CLOSING.match(piece) if closed else None
        if end is not None:
            closed[-1] += end[0].strip()
            piece = piece[end.end() :]  # noqa: PLW2901 - what is left of it
        closed.append(piece)
    return closed


def _ends(text: str, stop: int, after: int) -> bool:
    """Whether the mark before `stop` ends a sentence, where the next token begins at `after`."""
    if text[stop - 1] in "?!":
        return True
    before = text[max(0, stop - LOOK_BACK) : stop]
    word = before.rsplit(None, 1)[-1] if before.split() else before
    following = text[after : after + LOOK_BACK].split(None, 1)
    upcoming = following[0] if following else ""
    if word.endswith(".."):
        return _starts(upcoming)
    kind = WORD_START.sub("", word, count=1)[:-1].lower()
    if NUMBER.match(kind):
        return not upcoming[:1].islower()
    if INITIAL.match(kind) and kind not in ABBREVIATIONS:
        listed = kind in LISTING and not FIRST_NAME.match(upcoming)
        return not upcoming[:1].islower() and (not upcoming[:1].isupper() or listed or _starts(upcoming))
    if kind in ABBREVIATIONS or kind.rsplit("-", 1)[-1] in ABBREVIATIONS:
        return len(kind) > 1 and _starts(upcoming)
    return True


def _starts(word: str) -> bool:
    """Whether the word has a capital that only the start of a sentence explains."""
    bare = WORD_START.sub("", word, count=1).rstrip(".,;:!?\"')]}*")
    return bare[:1].isupper() and bare.lower() in COMMON
