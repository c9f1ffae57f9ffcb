"""Request keys: what makes two calls the same, and what does not."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from engine.calls.keys import draw_key, draws_are_shared, encode_body, request_hash

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec=None)) | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), JSON, max_size=4))
def test_any_body_survives_being_encoded_lone_surrogates_too(body):
    assert json.loads(encode_body(body)) == body


def test_another_model_message_or_provider_is_another_request():
    body = encode_body({"model": "m", "messages": [{"role": "user", "content": "hi"}]})
    other = encode_body({"model": "m", "messages": [{"role": "user", "content": "ho"}]})
    assert request_hash("https://a/v1", body) == request_hash("https://a/v1", body)
    assert request_hash("https://a/v1", body) != request_hash("https://b/v1", body)
    assert request_hash("https://a/v1", body) != request_hash("https://a/v1", other)


def test_a_provider_identity_of_any_length_counts_whole():
    body = b"{}"
    assert request_hash("x" * 200 + "a", body) != request_hash("x" * 200 + "b", body)


def test_each_repeat_and_each_equal_request_of_a_task_is_a_draw_of_its_own():
    request = request_hash("p", b"{}")
    keys = {
        draw_key(request, repeat=repeat, nth=nth, scope=scope)
        for repeat in range(3)
        for nth in range(3)
        for scope in ("", "a", "b")
    }
    assert len(keys) == 27
    assert draw_key(request, repeat=1, nth=2, scope="a") == draw_key(request, repeat=1, nth=2, scope="a")


def test_draws_are_shared_only_at_an_effective_temperature_of_zero():
    assert draws_are_shared({"temperature": 0})
    assert draws_are_shared({"temperature": 0.0})
    assert not draws_are_shared({"temperature": 0.7})
    assert not draws_are_shared({})


def test_the_order_of_a_schema_is_part_of_the_request():
    one = encode_body({"response_format": {"properties": {"a": 1, "b": 2}}})
    two = encode_body({"response_format": {"properties": {"b": 2, "a": 1}}})
    assert request_hash("p", one) != request_hash("p", two)
