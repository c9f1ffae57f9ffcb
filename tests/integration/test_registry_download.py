"""`engine registry download`: from a folder, from a server that may be hostile, and from the hub."""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from engine import registry
from engine.cli import registry as commands
from engine.environment import Secret
from engine.errors import EndpointError, UsageError

BIG = b"0123456789abcdef" * 200_000


@pytest.fixture
def home() -> Path:
    return Path(os.environ["ENGINE_HOME"])


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """Somebody else's home with one entry."""
    folder = tmp_path / "sums"
    (folder / "deep").mkdir(parents=True)
    (folder / "test.jsonl").write_text('{"n": 1}\n')
    (folder / "deep" / "big é.bin").write_bytes(BIG)
    wish = registry.Wish(namespace="near.ai", version="1.00", description="adds", tags=("x",))
    registry.add(folder, wish, home=tmp_path / "theirs")
    return tmp_path / "theirs"


class Handler(BaseHTTPRequestHandler):
    """The protocol of docs/registry.md in its simplest form, with a say for tests."""

    home: ClassVar[Path]
    change: ClassVar[Callable[[dict[str, Any]], Any]]
    answer: ClassVar[Callable[[Handler], bool]]
    asked: ClassVar[list[tuple[str, str, str]]]

    def log_message(self, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        kind = type(self)
        kind.asked.append((self.path, self.headers.get("range", ""), self.headers.get("authorization", "")))
        if kind.answer(self):
            return
        match = re.fullmatch(r"/registry/([^/]+/[^/]+/[^/]+)/(manifest\.json|files/(.+))", self.path)
        try:
            entry = registry.find(match[1], home=kind.home) if match else None
        except UsageError:
            entry = None
        if match is None or entry is None:
            self.reply(404, b"")
        elif match[2] == "manifest.json":
            self.reply(200, json.dumps(kind.change(registry.manifest_of(entry))).encode())
        else:
            from urllib.parse import unquote

            self.file(registry.content_file(entry, unquote(match[3])).read_bytes())

    def file(self, content: bytes) -> None:
        asked = self.headers.get("range", "")
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        if start:
            self.reply(206, content[start:], {"content-range": f"bytes {start}-{len(content) - 1}/{len(content)}"})
        else:
            self.reply(200, content)

    def reply(self, status: int, body: bytes, headers: dict[str, str] | None = None, length: int | None = None) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(body) if length is None else length))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def serving(
    home: Path,
    *,
    change: Callable[[dict[str, Any]], Any] = lambda manifest: manifest,
    answer: Callable[[Handler], bool] = lambda handler: False,
) -> Iterator[tuple[str, list[tuple[str, str, str]]]]:
    """The URL of a server with this registry, and what it is asked."""
    asked: list[tuple[str, str, str]] = []
    settings = {"home": home, "change": staticmethod(change), "answer": staticmethod(answer), "asked": asked}
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Ours", (Handler,), settings))
    server.handle_error = lambda *args: None  # type: ignore[method-assign]  # a client that hangs up is no news
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def listed(home: Path) -> list[str]:
    return [entry.reference for entry in registry.list_entries(home=home)]


def test_a_folder_is_a_registry_as_a_home_or_by_itself(
    theirs: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert commands.download("sums", from_=str(theirs)) == 0
    assert commands.download("near.ai/sums/1.0", from_=str(theirs / "registry")) == 0
    assert capsys.readouterr().out.splitlines() == [
        "near.ai/sums/1.00",
        "near.ai/sums/1.00 was there already, with the same content",
    ]
    entry = registry.find("sums", home=home)
    assert registry.verify(entry) == []
    assert entry.metadata == registry.find("sums", home=theirs).metadata
    with pytest.raises(UsageError, match=r"'near\.ai/smus' is not in"):
        commands.download("near.ai/smus", from_=str(theirs))
    with pytest.raises(UsageError, match="is no folder and no URL"):
        commands.download("sums", from_=str(theirs / "nothing"))
    with pytest.raises(UsageError, match="where is 'sums' to come from"):
        commands.download("sums")


def test_a_server_gives_a_named_version_and_the_newest(theirs: Path, home: Path, tmp_path: Path) -> None:
    with serving(theirs) as (url, asked):
        entry, new = registry.download("near.ai/sums", root=f"{url}/", home=home)
        assert (entry.reference, new) == ("near.ai/sums/1.00", True)
        assert registry.verify(entry) == []
        assert (entry.path / "deep" / "big é.bin").read_bytes() == BIG
        assert (entry.description, entry.tags) == ("adds", ("x",))
        assert asked[0][0] == "/registry/near.ai/sums/latest/manifest.json"
        assert registry.download("near.ai/sums/1.0.0", root=url, home=home) == (entry, False)
        with pytest.raises(UsageError, match="is not at http"):
            registry.download("near.ai/other/1.0", root=url, home=home)
        with pytest.raises(UsageError, match="is no ns/name"):
            registry.download("sums", root=url, home=home)
    with pytest.raises(EndpointError, match="cannot be fetched"):
        registry.download("near.ai/sums", root=url, home=tmp_path / "new")


def test_what_broke_off_goes_on_where_it_ended(theirs: Path, home: Path) -> None:
    cut = {"left": 1}

    def breaks_off(handler: Handler) -> bool:
        if "big" not in handler.path or not cut["left"]:
            return False
        cut["left"] -= 1
        handler.reply(200, BIG[:1_000_000], length=len(BIG))
        handler.close_connection = True
        return True

    with serving(theirs, answer=breaks_off) as (url, asked):
        with pytest.raises(EndpointError, match="cannot be fetched") as caught:
            registry.download("near.ai/sums", root=url, home=home)
        assert "goes on" in caught.value.hint
        assert listed(home) == []
        entry, _ = registry.download("near.ai/sums", root=url, home=home)
        assert registry.verify(entry) == []
        ranges = [asked_range for path, asked_range, _ in asked if "big" in path]
        assert ranges[0] == ""
        assert re.fullmatch(r"bytes=[1-9]\d*-", ranges[1])
        assert len([path for path, _, _ in asked if "test.jsonl" in path]) == 1, "what is whole is not fetched again"


def marked(content: bytes) -> dict[str, Any]:
    return {"bytes": len(content), "sha256": sha256(content).hexdigest()}


@pytest.mark.parametrize(
    "path",
    [
        "../evil",
        "/etc/evil",
        "a/../../evil",
        "..\\evil",
        "C:\\evil",
        "C:/evil",
        "a//b",
        ".git/hooks/x",
        "metadata.json",
        "a\x00b",
        "",
    ],
)
def test_paths_that_lead_out_of_the_entry_are_refused(theirs: Path, home: Path, path: str) -> None:
    def change(manifest: dict[str, Any]) -> dict[str, Any]:
        return {**manifest, "files": {**manifest["files"], path: marked(b"evil")}}

    with serving(theirs, change=change) as (url, asked):
        with pytest.raises(EndpointError, match="the manifest is refused"):
            registry.download("near.ai/sums", root=url, home=home)
        assert len(asked) == 1
    assert listed(home) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": "other"}, "got the manifest of 'near.ai/other/1.00'"),
        ({"namespace": "../x"}, "the namespace '../x' cannot be one"),
        ({"version": "../../x"}, "the version '../../x' cannot be one"),
        ({"files": {}}, "lists no files"),
        ({"files": {"a": {"bytes": -1, "sha256": "0" * 64}}}, "has no size and SHA-256"),
        ({"files": {"a": {"bytes": 1, "sha256": "x"}}}, "has no size and SHA-256"),
        ({"files": {"a": marked(b""), "a/b": marked(b"")}}, "is a file and a folder"),
        ({"files": {"a": marked(b""), "A": marked(b"")}}, "differ in case alone"),
        ({"files": {"a": {"bytes": 1 << 50, "sha256": "0" * 64}}}, "GiB are allowed|GiB, and 50 are allowed"),
        ({"tags": "x"}, "tags is 'x'"),
    ],
)
def test_a_manifest_that_cannot_be_is_refused(theirs: Path, home: Path, change: dict[str, Any], said: str) -> None:
    with serving(theirs, change=lambda manifest: {**manifest, **change}) as (url, _):
        with pytest.raises(EndpointError) as caught:
            registry.download("near.ai/sums/1.00", root=url, home=home)
    assert any(each in caught.value.message for each in said.split("|"))
    assert listed(home) == []


def test_what_is_not_what_the_manifest_says_is_refused(theirs: Path, home: Path) -> None:
    def other(handler: Handler) -> bool:
        if "test.jsonl" not in handler.path:
            return False
        handler.reply(200, handler.headers.get("x", '{"n": 2}\n').encode())
        return True

    def longer(handler: Handler) -> bool:
        if "test.jsonl" not in handler.path:
            return False
        handler.reply(200, b"x" * 100_000)
        return True

    with serving(theirs, answer=other) as (url, _), pytest.raises(EndpointError, match="is not what its manifest says"):
        registry.download("near.ai/sums", root=url, home=home)
    with serving(theirs, answer=longer) as (url, _), pytest.raises(EndpointError, match="is longer than"):
        registry.download("near.ai/sums", root=url, home=home)
    with serving(theirs) as (url, _):
        assert registry.download("near.ai/sums", root=url, home=home)[1]


def test_redirects_stay_with_the_host_and_carry_no_key_away(theirs: Path, home: Path) -> None:
    with serving(theirs) as (elsewhere, strangers):

        def away(handler: Handler) -> bool:
            handler.reply(302, b"", {"location": f"{elsewhere}{handler.path}"})
            return True

        with serving(theirs, answer=away) as (url, _):
            with pytest.raises(EndpointError, match="leads to another host"):
                registry.download("near.ai/sums", root=url, home=home, key=Secret("token"))
        assert strangers == []

    def within(handler: Handler) -> bool:
        if handler.path.startswith("/old"):
            handler.reply(307, b"", {"location": handler.path.removeprefix("/old")})
            return True
        return False

    with serving(theirs, answer=within) as (url, asked):
        assert registry.download("near.ai/sums", root=f"{url}/old", home=home, key=Secret("token"))[1]
        assert {key for _, _, key in asked} == {"Bearer token"}

    def round_and_round(handler: Handler) -> bool:
        handler.reply(302, b"", {"location": handler.path})
        return True

    with serving(theirs, answer=round_and_round) as (url, _), pytest.raises(EndpointError, match="leads on and on"):
        registry.download("near.ai/sums", root=url, home=home)


def test_addresses_with_a_password_and_keys_in_the_clear_are_refused(home: Path) -> None:
    with pytest.raises(UsageError, match="the address of a registry") as caught:
        registry.download("a/b", root="http://me:hunter2@127.0.0.1", home=home)
    assert "hunter2" not in str(caught.value)
    with pytest.raises(EndpointError, match="in the clear"):
        registry.download("a/b", root="http://registry.invalid", home=home, key=Secret("token"))


def test_another_content_here_is_kept_unless_it_is_to_be_replaced(theirs: Path, home: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "x").write_text("mine")
    registry.upload(tmp_path / "mine", home=home, namespace="near.ai", name="sums", version="1.00")
    with pytest.raises(UsageError, match="is here with another content"):
        registry.download("near.ai/sums", root=str(theirs), home=home)
    entry, new = registry.download("near.ai/sums", root=str(theirs), home=home, force=True)
    assert new
    assert registry.verify(entry) == []
    (entry.path / "test.jsonl").write_text("damaged")
    assert registry.download("near.ai/sums", root=str(theirs), home=home)[1] is False
    entry, new = registry.download("near.ai/sums", root=str(theirs), home=home, force=True)
    assert new
    assert registry.verify(entry) == []
    assert sorted(path.name for path in (home / "registry").iterdir()) == [".lock", "near.ai"]


def test_links_in_another_registry_are_not_followed(theirs: Path, home: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text('{"n": 1}\n')
    file = registry.find("sums", home=theirs).path / "test.jsonl"
    file.unlink()
    file.symlink_to(secret)
    with pytest.raises(EndpointError, match="cannot be read"):
        registry.download("near.ai/sums", root=str(theirs), home=home)
    assert listed(home) == []
