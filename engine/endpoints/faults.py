"""Turns the errors of foreign libraries and the error replies of servers into `AttemptError`; nowhere else does.

Exceptions are known by the name of their class, so that no library has to be imported for it. A test walks
through the exception classes of aiohttp and openai and fails when a new version brings one without a fault.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from engine.endpoints.scrubbing import mask, scrub
from engine.endpoints.verdicts import ErrorText, classify, read_error, retry_after_s, status_of_error
from engine.errors import AttemptError
from engine.records import Fault

ERROR_BODY_BYTES = 65_536
"""How much of the body of an error reply is read."""

_SAYS: Mapping[Fault, str] = {
    Fault.RATE_LIMIT: "too many requests",
    Fault.OVERLOADED: "the endpoint is overloaded",
    Fault.SERVER: "the endpoint failed",
    Fault.TIMEOUT: "no complete reply in time",
    Fault.CONNECTION: "the connection failed",
    Fault.STALE: "an idle connection had been closed by the endpoint",
    Fault.MALFORMED: "the reply is not a chat completion",
    Fault.INCOMPLETE: "the reply ended too early",
    Fault.TOO_LARGE: "too large",
    Fault.REDIRECT: "the endpoint redirects, which is not followed",
    Fault.AUTH: "the key is not accepted",
    Fault.PERMISSION: "the key may not do this",
    Fault.QUOTA: "the account has no quota or credit left",
    Fault.NOT_FOUND: "no such model or address",
    Fault.BAD_REQUEST: "the request is not accepted",
    Fault.CONTEXT_LENGTH: "the prompt is too long for the model",
    Fault.CONTENT_FILTER: "a content filter stopped the request",
    Fault.NO_RECORDING: "the recording has no answer for this request",
}

_CONNECTION = """
    aiohttp.ClientError aiohttp.ClientConnectionError aiohttp.ClientOSError
    aiohttp.ClientConnectorError aiohttp.ClientConnectorDNSError aiohttp.ClientConnectorSSLError
    aiohttp.ClientConnectorCertificateError aiohttp.ClientSSLError aiohttp.ClientProxyConnectionError
    aiohttp.ClientHttpProxyError aiohttp.UnixClientConnectorError aiohttp.ServerConnectionError
    aiohttp.ServerDisconnectedError aiohttp.ServerFingerprintMismatch aiohttp.ClientPayloadError
    aiohttp.UploadAbortedError aiohttp.PayloadEncodingError aiohttp.ContentLengthError aiohttp.TransferEncodingError
    openai.APIConnectionError openai.WebSocketConnectionClosedError openai.WebSocketQueueFullError
    httpx2.RequestError httpx2.HTTPError httpx.RequestError httpx.HTTPError
    anyio.EndOfStream anyio.BrokenResourceError anyio.ClosedResourceError
    builtins.OSError builtins.EOFError ssl.SSLError
"""
_TIMEOUT = """
    aiohttp.ServerTimeoutError aiohttp.ConnectionTimeoutError aiohttp.SocketTimeoutError
    openai.APITimeoutError httpx2.TimeoutException httpx.TimeoutException builtins.TimeoutError
"""
_MALFORMED = """
    aiohttp.ClientResponseError aiohttp.ContentTypeError aiohttp.WSServerHandshakeError aiohttp.WSMessageTypeError
    aiohttp.HttpProcessingError aiohttp.ContentEncodingError aiohttp.DecompressSizeError
    openai.APIError openai.APIResponseValidationError openai.OpenAIError openai.InvalidWebhookSignatureError
    openai.SubjectTokenProviderError
    httpx2.DecodingError httpx2.RemoteProtocolError httpx2.StreamError httpx2.SSEError
    httpx.DecodingError httpx.RemoteProtocolError httpx.StreamError
    builtins.ValueError builtins.RecursionError
"""
_REDIRECT = """
    aiohttp.TooManyRedirects aiohttp.RedirectClientError aiohttp.InvalidUrlRedirectClientError
    aiohttp.NonHttpUrlRedirectClientError httpx2.TooManyRedirects httpx.TooManyRedirects
"""
_NOT_FOUND = """
    aiohttp.InvalidURL aiohttp.InvalidUrlClientError aiohttp.NonHttpUrlClientError
    httpx2.InvalidURL httpx2.UnsupportedProtocol httpx.InvalidURL httpx.UnsupportedProtocol openai.NotFoundError
"""
_BY_CLASS: Mapping[str, Fault] = {
    **dict.fromkeys(_CONNECTION.split(), Fault.CONNECTION),
    **dict.fromkeys(_TIMEOUT.split(), Fault.TIMEOUT),
    **dict.fromkeys(_MALFORMED.split(), Fault.MALFORMED),
    **dict.fromkeys(_REDIRECT.split(), Fault.REDIRECT),
    **dict.fromkeys(_NOT_FOUND.split(), Fault.NOT_FOUND),
    # Raised before anything was sent, when the connection taken from the pool is closing.
    "aiohttp.ClientConnectionResetError": Fault.STALE,
    "engine.ConnectFailedError": Fault.CONNECTION,
    "engine.DisconnectedError": Fault.CONNECTION,
    "engine.StaleError": Fault.STALE,
    "engine.BadReplyError": Fault.MALFORMED,
    "openai.APIStatusError": Fault.SERVER,
    "openai.ConflictError": Fault.SERVER,
    "openai.InternalServerError": Fault.SERVER,
    "openai.RateLimitError": Fault.RATE_LIMIT,
    "openai.AuthenticationError": Fault.AUTH,
    "openai.OAuthError": Fault.AUTH,
    "openai.PermissionDeniedError": Fault.PERMISSION,
    "openai.BadRequestError": Fault.BAD_REQUEST,
    "openai.UnprocessableEntityError": Fault.BAD_REQUEST,
    "openai.LengthFinishReasonError": Fault.INCOMPLETE,
    "openai.ContentFilterFinishReasonError": Fault.CONTENT_FILTER,
}


def fault_of_status(status: int, headers: Mapping[str, str], body: bytes, *, secret: str = "") -> AttemptError:
    """The error for a reply that is not 2xx; `secret` is the key, which no message may hold."""
    if 300 <= status < 400 and (target := headers.get("location")):
        return _error(Fault.REDIRECT, f"to {_host(target)}", status, headers, secret=secret)
    said = read_error(body)
    return _said(classify(status, said, headers), said, status, headers, secret=secret)


def fault_of_error(error: object, *, status: int, headers: Mapping[str, str]) -> AttemptError:
    """The error for an `error` object in a reply with status 200 or in a stream, judged by its code and type."""
    said = ErrorText.of(error)
    return _said(classify(status_of_error(said), said, headers), said, status, headers)


def fault_of_exception(error: BaseException, *, secret: str = "") -> AttemptError:
    """The error for an exception of `http1`, aiohttp, openai, httpx, ssl, the sockets, a timeout or a decoder.

    What lies deepest in the chain of causes decides, because wrappers call a closed connection a timeout.
    An `AttemptError` in the chain is the answer.
    """
    deepest, fault = error, None
    for cause in _causes(error):
        if isinstance(cause, AttemptError):
            return scrubbed(cause, secret)
        if (found := translation(type(cause))) is not None:
            deepest, fault = cause, found
    response = getattr(deepest, "response", None)
    if fault is not None and response is not None and hasattr(deepest, "status_code"):
        body = json.dumps({"error": getattr(deepest, "body", None) or str(deepest)}).encode()
        return fault_of_status(int(deepest.status_code), response.headers, body, secret=secret)
    ours = type(deepest).__module__.startswith("engine.")  # it says all in words
    name = "" if ours or fault is Fault.TIMEOUT else type(deepest).__name__
    detail = ": ".join(filter(None, (name, str(deepest))))
    return _error(fault or Fault.MALFORMED, detail, None, {}, secret=secret)


def translation(kind: type[BaseException]) -> Fault | None:
    """The fault of the nearest class with one in the order of inheritance; None where there is none."""
    for parent in kind.__mro__:
        if (fault := _BY_CLASS.get(f"{parent.__module__.partition('.')[0]}.{parent.__name__}")) is not None:
            return fault
    return None


def has_own_translation(kind: type[BaseException]) -> bool:
    """Whether this very class, and not only a parent of it, has a fault."""
    return f"{kind.__module__.partition('.')[0]}.{kind.__name__}" in _BY_CLASS


def malformed(detail: str, *, status: int | None = None, headers: Mapping[str, str] | None = None) -> AttemptError:
    """The error for a reply whose shape is wrong."""
    return _error(Fault.MALFORMED, detail, status, headers or {})


def incomplete(detail: str, *, status: int | None = None, headers: Mapping[str, str] | None = None) -> AttemptError:
    """The error for a stream that ended before its answer did."""
    return _error(Fault.INCOMPLETE, detail, status, headers or {})


def too_large(limit_bytes: int, *, status: int, headers: Mapping[str, str]) -> AttemptError:
    """The error for a body above the limit."""
    return _error(Fault.TOO_LARGE, f"the reply has more than {limit_bytes} bytes", status, headers)


def stale(error: BaseException) -> AttemptError:
    """The error for a used connection that was closed before any byte of the reply."""
    return _error(Fault.STALE, f"{type(error).__name__}: {error}", None, {})


def is_disconnect(error: BaseException) -> bool:
    """Whether a connection that was closed, and not one that could not be opened, is the deepest known cause."""
    names = {type(cause).__name__ for cause in _causes(error)}
    return "ServerDisconnectedError" in names or ("ClientOSError" in names and "ClientConnectorError" not in names)


def scrubbed(error: AttemptError, secret: str) -> AttemptError:
    """The error, or a copy of it without the key where the server has put it in."""
    told = {name: getattr(error, name) for name in ("message", "request_id", "reason", "param")}
    masked = {name: mask(text, secret) for name, text in told.items()}
    if masked == told:
        return error
    clean = AttemptError(
        masked["message"],
        fault=error.fault,
        status=error.status,
        retry_after_s=error.retry_after_s,
        request_id=masked["request_id"],
        headers=error.headers,
    )
    clean.reason, clean.param = masked["reason"], masked["param"]
    return clean


def request_id(headers: Mapping[str, str]) -> str:
    """What the endpoint calls this request; empty where it does not say."""
    return headers.get("x-request-id") or headers.get("request-id") or ""


def _said(fault: Fault, said: ErrorText, status: int, headers: Mapping[str, str], *, secret: str = "") -> AttemptError:
    error = _error(fault, _words(said), status, headers, secret=secret)
    if error.retry_after_s is None and fault in (Fault.RATE_LIMIT, Fault.OVERLOADED):
        error.retry_after_s = said.wait_s
    error.reason = scrub(said.code or said.kind, secret, longest=100)
    error.param = scrub(said.param, secret, longest=100)
    return error


def _error(
    fault: Fault, detail: str, status: int | None, headers: Mapping[str, str], *, secret: str = ""
) -> AttemptError:
    detail = scrub(detail, secret)
    return AttemptError(
        f"{_SAYS[fault]}{f' (status {status})' if status else ''}{f': {detail}' if detail else ''}",
        fault=fault,
        status=status,
        retry_after_s=retry_after_s(headers) if headers else None,
        request_id=scrub(request_id(headers), secret, longest=100),
        headers=headers,
    )


def _words(said: ErrorText) -> str:
    code = said.code or said.kind
    return f"{said.message} [{code}]" if code and code not in said.message else said.message


def _host(target: str) -> str:
    try:
        parts = urlsplit(target)
    except ValueError:
        return "an address that cannot be read"
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}" if parts.netloc else target


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    cause: Any = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__
