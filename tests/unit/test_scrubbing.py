"""A key that a server sends back is in no reply that is kept, in whatever spelling it comes."""

from __future__ import annotations

import json

import pytest

from engine.endpoints.replies import read_reply
from engine.endpoints.scrubbing import without_key

KEY = "Canary/7f3kQz+9XyLmNopQrs"
SPELT = {
    "plain": KEY,
    "escaped slashes": KEY.replace("/", "\\/"),
    "escaped letters": "".join(f"\\u{ord(letter):04x}" for letter in KEY),
    "another case": KEY.upper(),
}


@pytest.mark.parametrize("spelling", SPELT)
@pytest.mark.parametrize("field", ["content", "refusal", "finish_reason", "model"])
def test_an_echoed_key_is_in_no_field_and_no_body(field, spelling):
    message = {"role": "assistant", "content": "hello", "refusal": None}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    document = {"id": "1", "model": "m", "choices": [choice]}
    place = {"content": message, "refusal": message, "finish_reason": choice, "model": document}[field]
    place[field] = "ECHO"
    raw = json.dumps(document).replace("ECHO", f"you sent {SPELT[spelling]}").encode()
    reply = read_reply(raw, status=200, headers={"x-request-id": f"r-{KEY.upper()}"}, latency_s=0.1)
    kept = without_key(reply, KEY)
    for text in (kept.raw, json.dumps(json.loads(kept.raw)), kept.text, kept.refusal, kept.finish_reason, kept.model):
        assert KEY.casefold() not in text.casefold()
        assert KEY.replace("/", "\\/").casefold() not in text.casefold()
    assert KEY.casefold() not in kept.request_id.casefold()
    assert "***" in kept.raw


def test_a_body_that_begins_with_a_mark_of_byte_order_is_read():
    body = b'\xef\xbb\xbf{"choices":[{"message":{"content":"hello"},"finish_reason":"stop"}]}'
    assert read_reply(body, status=200, headers={}, latency_s=0.1).text == "hello"
