"""What a model says in the end: its reply without the thoughts that endpoints may leave in it, `<think>...</think>`."""

from __future__ import annotations

import re

VERSION = 1
OPENED, CLOSED = "<think>", "</think>"
THOUGHT = re.compile(r"<think>.*?</think>", re.DOTALL)


def spoken(reply: str) -> str:
    """The reply without what stands in `<think>` tags.

    Thoughts whose beginning is not there, as with templates that put the first tag into the prompt, end at the last
    closing tag; thoughts that never end, as of a reply that was cut, leave nothing of what follows.
    """
    reply = str(reply)
    if CLOSED in reply:
        reply = THOUGHT.sub("", reply).rpartition(CLOSED)[2]
    return reply.partition(OPENED)[0] if OPENED in reply else reply
