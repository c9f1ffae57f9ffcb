"""Refused parameters: the real words of servers are understood, harm is never done in silence, nothing else changes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.endpoints.faults import fault_of_status
from engine.endpoints.messages import asks_as_system
from engine.endpoints.quirks import SYSTEM_ROLE, Adaptation, Change, adapt, apply, known_adaptations
from engine.endpoints.refusals import Refusals
from engine.errors import AttemptError, EndpointError

ASK = {"role": "user", "content": "1 + 1"}
RULE = {"role": "system", "content": "be brief"}


def body(**more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [RULE, ASK], "temperature": 0, "max_tokens": 9, **more}


def refusal(document: Any, status: int = 400) -> AttemptError:
    raw = document if isinstance(document, bytes) else json.dumps(document).encode()
    return fault_of_status(status, {}, raw)


def openai(message: str, param: str | None, code: str | None) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}}


def forbidden(*path: str) -> dict[str, Any]:
    return {"type": "extra_forbidden", "loc": ["body", *path], "msg": "Extra inputs are not permitted", "input": 1}


def mistral(*path: str) -> dict[str, Any]:
    detail = {"detail": [forbidden(*path)]}
    return {"object": "error", "message": detail, "type": "invalid_request_error", "param": None, "code": None}


def google(name: str) -> list[dict[str, Any]]:
    message = f'Invalid JSON payload received. Unknown name "{name}": Cannot find field.'
    return [{"error": {"code": 400, "message": message, "status": "INVALID_ARGUMENT", "details": []}}]


def plain(message: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error"}}


def vllm(message: str) -> dict[str, Any]:
    return {"object": "error", "message": message, "type": "BadRequestError", "param": None, "code": 400}


OPENAI_LIMIT = openai(
    "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
    "max_tokens",
    "unsupported_parameter",
)
OPENAI_TEMPERATURE = openai(
    "Unsupported value: 'temperature' does not support 0 with this model. Only the default (1) value is supported.",
    "temperature",
    "unsupported_value",
)
OPENAI_NO_TEMPERATURE = openai(
    "Unsupported parameter: 'temperature' is not supported with this model.", "temperature", "unsupported_parameter"
)
OPENAI_SYSTEM = openai(
    "Unsupported value: 'messages[0].role' does not support 'system' with this model.",
    "messages[0].role",
    "unsupported_value",
)
AZURE_LIMIT = openai("Unrecognized request argument supplied: max_completion_tokens", None, None)
OLD_VLLM = vllm(
    "[{'type': 'extra_forbidden', 'loc': ('body', 'max_completion_tokens'), 'msg': 'Extra inputs are not'}]"
)
OLD_MISTRAL = {
    "object": "error",
    "message": '{"detail":[{"type":"extra_forbidden","loc":["body","frequency_penalty"],"msg":"Extra inputs"}]}',
    "type": "internal_error_proxy",
    "code": "1000",
}
TOO_MUCH_CLAUDE = "`temperature` and `top_p` cannot both be specified for this model. Please use only one."
LITELLM = 'litellm.BadRequestError: AnthropicException - {"message":"`temperature` is deprecated for this model."}'
JINJA = {"error": {"code": 500, "message": "Jinja Exception: System role not supported", "type": "server_error"}}

RENAMED = [
    (OPENAI_LIMIT, 400, {}, ("max_tokens", "max_completion_tokens")),
    (AZURE_LIMIT, 400, {"max_completion_tokens": 9}, ("max_completion_tokens", "max_tokens")),
    (OLD_VLLM, 400, {"max_completion_tokens": 9}, ("max_completion_tokens", "max_tokens")),
    (mistral("max_completion_tokens"), 422, {"max_completion_tokens": 9}, ("max_completion_tokens", "max_tokens")),
]
LEFT_OUT = [
    (google("seed"), 400, {"seed": 3}, "seed"),
    (mistral("seed"), 422, {"seed": 3}, "seed"),
    ({"detail": [forbidden("seed")]}, 422, {"seed": 3}, "seed"),
    (plain("property 'seed' is unsupported, did you mean 'stop'?"), 400, {"seed": 3}, "seed"),
    (openai("Unknown parameter: 'user'.", "user", "unknown_parameter"), 400, {"user": "u"}, "user"),
    (plain("Extra inputs are not permitted, field: 'stream_options', value: {}"), 400, {}, "stream_options"),
    (mistral("stream_options", "include_usage"), 422, {}, "stream_options"),
    (OLD_MISTRAL, 422, {"frequency_penalty": 0.0}, "frequency_penalty"),
    (OPENAI_NO_TEMPERATURE, 400, {"temperature": 1}, "temperature"),
    (plain("`temperature` is deprecated for this model."), 400, {"temperature": 1.0}, "temperature"),
    (plain(LITELLM), 400, {"temperature": 1.0}, "temperature"),
    (plain("invalid top_p: only 0.95 is allowed for this model"), 400, {"top_p": 0.95}, "top_p"),
    (openai("Unsupported parameter: 'n'", "n", "unsupported_parameter"), 400, {"n": 1}, "n"),
]
STOPPED = [
    (OPENAI_TEMPERATURE, {}, "temperature", "--temperature 1"),
    (OPENAI_NO_TEMPERATURE, {}, "temperature", "--temperature 1"),
    (plain("`temperature` is deprecated for this model."), {}, "temperature", "--temperature 1"),
    (plain("temperature is not supported for c-5 when set to non-default"), {}, "temperature", "--temperature 1"),
    (plain("invalid temperature: only 0.6 is allowed for this model"), {}, "temperature", "--temperature 0.6"),
    (plain("'n' : number must be at most 1"), {"n": 5}, "n", "--repeats"),
    (vllm("n must be 1 when using greedy sampling, got 2."), {"n": 2}, "n", "--repeats"),
    (openai("Unsupported parameter: 'stop' is not supported with this model.", "stop", "unsupported_parameter"),
     {"stop": ["\n"]}, "stop", "leave stop out"),
    (plain("This response_format type is unavailable now"), {"response_format": {"type": "json_schema"}},
     "response_format", "leave response_format out"),
    (plain("'response_format.type' : value is not one of the allowed values ['text','json_object']"),
     {"response_format": {"type": "json_schema"}}, "response_format", "leave response_format out"),
    (mistral("reasoning_effort"), {"reasoning_effort": "low"}, "reasoning_effort", "extra_body"),
    (plain(TOO_MUCH_CLAUDE), {"top_p": 0.5}, "temperature", "--temperature 1"),
    (google("tools"), {"tools": [{"type": "function"}]}, "tools", "leave tools out"),
]  # fmt: skip
ABOUT_SOMETHING_ELSE = [
    (openai("Invalid type for 'messages[0].content'", "messages[0].content", "invalid_type"), 400, {}),
    (plain("'messages.1' : for 'role:user' the following must be satisfied[property 'seed' is unsupported]"), 400,
     {"seed": 1}),
    (openai("The 'stream_options' parameter is only allowed when 'stream' is on.", "stream_options", None), 400, {}),
    (openai("max_tokens is too large: 99. This model's maximum context length is 8", "max_tokens", None), 400, {}),
    (openai("max_tokens is too large: 99. At most 8 completion tokens are supported", "max_tokens", "invalid_value"),
     400, {}),
    (openai("Unknown parameter: 'store'.", "store", "unknown_parameter"), 400, {}),
    (OPENAI_LIMIT, 429, {}),
    (OPENAI_LIMIT, 500, {}),
    (b"<html>Bad Request</html>", 400, {}),
    (vllm("The model `temperature` does not exist."), 404, {}),
]  # fmt: skip


@pytest.mark.parametrize(("said", "status", "more", "expected"), RENAMED)
def test_the_limit_of_tokens_gets_its_other_name(said, status, more, expected):
    asked = {name: value for name, value in body().items() if name != "max_tokens"} | (more or {"max_tokens": 9})
    found = adapt(asked, refusal(said, status))
    assert found is not None
    assert (found.name, found.to, found.change, found.harmless) == (*expected, Change.RENAME, True)
    adapted = apply([found], asked)
    assert expected[0] not in adapted
    assert adapted[expected[1]] == 9


@pytest.mark.parametrize(("said", "status", "more", "name"), LEFT_OUT)
def test_what_changes_no_answer_is_left_out_and_said(said, status, more, name):
    asked = body(**more)
    found = adapt(asked, refusal(said, status))
    assert found is not None
    assert (found.name, found.change, found.harmless) == (name, Change.DROP, True)
    assert name in found.says
    assert name not in apply([found], asked)


@pytest.mark.parametrize(("said", "more", "name", "cure"), STOPPED)
def test_what_would_change_answers_stops_the_run_with_a_cure(said, more, name, cure):
    asked = body(**more)
    found = adapt(asked, refusal(said))
    assert found is not None
    assert (found.name, found.harmless) == (name, False)
    assert name in found.says
    assert cure in found.hint
    assert apply([found], asked) == asked, "what is not harmless is never applied"


@pytest.mark.parametrize(("said", "status", "more"), ABOUT_SOMETHING_ELSE)
def test_an_error_about_something_else_changes_nothing(said, status, more):
    assert adapt(body(**more), refusal(said, status)) is None


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (OPENAI_SYSTEM, 400),
        (vllm("System role not supported"), 400),
        (JINJA, 500),
        (vllm("Conversation roles must alternate user/assistant/user/assistant/..."), 400),
        (
            google("x")[0] | {"error": {"code": 400, "message": "Developer instruction is not enabled for models/g"}},
            400,
        ),
    ],
)
def test_a_system_message_goes_before_the_users(said, status):
    found = adapt(body(), refusal(said, status))
    assert found is not None
    assert (found.name, found.change, found.harmless) == (SYSTEM_ROLE, Change.MERGE, True)
    assert apply([found], body())["messages"] == [{"role": "user", "content": "be brief\n\n1 + 1"}]
    assert adapt(apply([found], body()), refusal(said, status)) is None, "there is no system message any more"


def test_parts_stay_parts_when_a_system_message_is_put_before_them():
    picture = {"type": "image_url", "image_url": {"url": "data:,"}}
    asked = body(messages=[RULE, {"role": "user", "content": [{"type": "text", "text": "what is it?"}, picture]}])
    merge = Adaptation(name=SYSTEM_ROLE, change=Change.MERGE)
    (message,) = apply([merge], asked)["messages"]
    assert message["content"] == [
        {"type": "text", "text": "be brief\n\n"},
        {"type": "text", "text": "what is it?"},
        picture,
    ]


def test_a_dropped_value_is_dropped_for_that_value_alone():
    found = adapt(body(temperature=1), refusal(OPENAI_NO_TEMPERATURE))
    assert found is not None
    assert "temperature" not in apply([found], body(temperature=1.0))
    assert apply([found], body(temperature=0.7))["temperature"] == 0.7, "it is refused for itself"


def test_two_names_that_are_both_refused_stop_the_run_in_place_of_a_circle():
    first = adapt(body(), refusal(OPENAI_LIMIT))
    assert first is not None
    second = adapt(apply([first], body()), refusal(AZURE_LIMIT), found=[first])
    assert second is not None
    assert not second.harmless
    assert "neither" in second.says


def test_the_same_refusal_in_other_words_is_the_same_adaptation():
    one = adapt(body(), refusal(openai("Unknown parameter: 'max_tokens' (req_1)", "max_tokens", "unknown_parameter")))
    two = adapt(body(), refusal(OPENAI_LIMIT))
    assert one == two
    assert one is not None
    assert two is not None
    assert one.why != two.why


def test_a_stream_without_usage_is_still_a_stream_and_a_refused_stream_is_none():
    usage = Adaptation(name="stream_options", change=Change.DROP)
    whole = Adaptation(name="stream", change=Change.DROP)
    asked = body(stream=True, stream_options={"include_usage": True})
    assert {k: v for k, v in apply([usage], asked).items() if k.startswith("stream")} == {"stream": True}
    assert apply([usage], body())["stream"] is True, "it was added below: the body now says itself how"
    for order in ([usage, whole], [whole, usage]):
        assert {k: v for k, v in apply(order, asked).items() if k.startswith("stream")} == {"stream": False}


def test_what_is_known_of_a_provider_needs_no_refusal():
    assert apply(known_adaptations("https://api.openai.com/v1"), body())["max_completion_tokens"] == 9
    assert apply(known_adaptations("https://api.mistral.ai/v1"), body(seed=4))["random_seed"] == 4
    assert known_adaptations("https://api.example.com/v1") == ()


def test_what_is_recorded_is_json():
    found = [adapt(body(**more), refusal(said, status)) for said, status, more, _ in [*RENAMED, *LEFT_OUT]]
    assert all(json.loads(json.dumps(each.as_dict()))["name"] == each.name for each in found if each is not None)


def encoded(**more: Any) -> bytes:
    return json.dumps(body(**more), separators=(",", ":")).encode()


def test_a_refusal_is_learned_once_for_a_model_and_told_once():
    told: list[tuple[str, str]] = []
    refusals = Refusals(told=lambda model, each: told.append((model, each.name)))
    assert refusals.adapted("m", encoded()) == encoded(), "the very bytes"
    assert refusals.learn("m", encoded(), refusal(OPENAI_LIMIT))
    assert refusals.learn("m", encoded(), refusal(OPENAI_LIMIT)), "it was in flight: send it again, adapted"
    assert told == [("m", "max_tokens")]
    assert json.loads(refusals.adapted("m", encoded()))["max_completion_tokens"] == 9
    assert refusals.adapted("other", encoded()) == encoded()
    assert [each.name for each in refusals.found("m")] == ["max_tokens"]


def test_an_adapted_request_that_is_refused_for_the_same_is_not_sent_for_ever():
    refusals = Refusals()
    assert refusals.learn("m", encoded(seed=1), refusal(google("seed")))
    adapted = refusals.adapted("m", encoded(seed=1))
    assert b"seed" not in adapted
    assert not refusals.learn("m", adapted, refusal(google("seed")))
    streamed = refusals.learn("m", adapted, refusal(mistral("stream_options"), 422))
    again = refusals.adapted("m", adapted)
    assert (streamed, refusals.learn("m", again, refusal(mistral("stream_options"), 422))) == (True, False)


def test_what_cannot_be_left_out_ends_the_runs_of_the_model_with_one_message():
    refusals = Refusals()
    with pytest.raises(EndpointError) as caught:
        refusals.learn("m", encoded(), refusal(OPENAI_TEMPERATURE))
    assert caught.value.exit_code == 3
    assert "'temperature'" in caught.value.message
    assert "--temperature 1" in caught.value.hint
    assert refusals.found("m") == ()


def test_what_is_known_of_an_address_is_applied_from_the_first_request():
    refusals = Refusals("https://api.openai.com/v1")
    assert json.loads(refusals.adapted("m", encoded()))["max_completion_tokens"] == 9
    assert not refusals.learn("m", encoded(), refusal(plain("something else")))
    assert not refusals.learn("m", b"no json", refusal(OPENAI_LIMIT))


CONTENT = (
    st.none() | st.text(max_size=5) | st.lists(st.fixed_dictionaries({"type": st.just("text"), "text": st.text()}))
)
MESSAGE = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "developer", "user", "assistant", "tool"]), "content": CONTENT}
)
VALUES = st.none() | st.booleans() | st.integers(-3, 9) | st.floats(0, 2) | st.text(max_size=3) | st.lists(st.text())
PARAMETERS = (
    "temperature",
    "max_tokens",
    "max_completion_tokens",
    "seed",
    "n",
    "stop",
    "stream",
    "stream_options",
    "x",
)
BODIES = st.builds(
    lambda messages, more: {"model": "m", "messages": messages, **more},
    st.lists(MESSAGE, max_size=6),
    st.dictionaries(st.sampled_from(PARAMETERS), VALUES),
)
ADAPTATIONS = st.builds(
    Adaptation,
    name=st.sampled_from(PARAMETERS),
    change=st.just(Change.DROP),
    values=st.lists(VALUES, max_size=2).map(tuple),
    harmless=st.booleans(),
) | st.sampled_from(
    [
        Adaptation(name="max_tokens", change=Change.RENAME, to="max_completion_tokens"),
        Adaptation(name="seed", change=Change.RENAME, to="random_seed"),
        Adaptation(name=SYSTEM_ROLE, change=Change.MERGE),
    ]
)


@given(BODIES, st.lists(ADAPTATIONS, max_size=4))
def test_applying_twice_is_applying_once(asked, adaptations):
    before = json.dumps(asked)
    once = apply(adaptations, asked)
    assert apply(adaptations, once) == once
    assert json.dumps(asked) == before, "the request that was asked for is left as it is"


@given(BODIES, st.lists(ADAPTATIONS, max_size=4))
def test_messages_are_touched_by_joining_the_system_role_alone(asked, adaptations):
    adapted = apply(adaptations, asked)
    merged = any(each.change is Change.MERGE for each in adaptations)
    assert adapted["model"] == asked["model"]
    if not merged:
        assert adapted["messages"] == asked["messages"]
        return
    assert not asks_as_system(adapted["messages"])
    others = [each for each in asked["messages"] if each["role"] not in ("system", "developer", "user")]
    assert [each for each in adapted["messages"] if each["role"] != "user"] == others
    assert text_of(adapted["messages"]) == text_of(asked["messages"]), "no word is lost or moved"


def text_of(messages: list[dict[str, Any]]) -> str:
    pieces = []
    for message in messages:
        content = message["content"] or ""
        pieces += [content] if isinstance(content, str) else [part["text"] for part in content]
    return "".join("".join(pieces).split())


@given(st.text(), st.text(), st.text(), st.sampled_from([400, 422, 500]))
def test_no_words_of_a_server_can_break_it(message, param, code, status):
    found = adapt(body(), refusal(openai(message, param, code), status))
    assert found is None or found.name in {*body(), "stream", "stream_options", SYSTEM_ROLE}
