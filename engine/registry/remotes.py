"""Where entries are fetched from: the folder of another registry, or a server as docs/registry.md describes it."""

from __future__ import annotations

import ipaddress
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote, urljoin, urlsplit

from engine.data.content import CHUNK_BYTES
from engine.data.entries import LATEST, all_below, is_part, matching_below
from engine.errors import EndpointError, UsageError
from engine.registry.finding import only
from engine.registry.manifest import Mark
from engine.registry.metadata import LONGEST_BYTES
from engine.registry.serving import content_file, manifest_of

if TYPE_CHECKING:
    import httpx

    from engine.environment import Secret

CONNECT_S, READ_S = 10.0, 60.0
MOST_REDIRECTS = 5
PIECE_BYTES = 1 << 16
"""At most this much is lost when a transfer breaks off."""


class Remote(Protocol):
    """Another registry."""

    def manifest(self, reference: str) -> dict[str, Any]:
        """What it says of an entry, not yet checked.

        Raises:
            UsageError: it has no such entry.
            EndpointError: it cannot be reached, or does not speak the protocol.
        """
        ...

    def fetch(self, manifest: Mapping[str, Any], relative: str, mark: Mark, target: Path) -> None:
        """Bring a file of this size to `target`, going on where a part of it is there already.

        Raises:
            EndpointError: it cannot be had.
        """
        ...


@contextmanager
def open_remote(root: str, *, key: Secret | None = None) -> Iterator[Remote]:
    """The registry at a URL or in a folder; `key` is sent to the URL's own host and nowhere else.

    Raises:
        UsageError: it is neither.
        EndpointError: the key would leave this machine in the clear.
    """
    with ExitStack() as stack:
        if "://" in root:
            yield stack.enter_context(_open_server(root, key))
        else:
            path = Path(root).expanduser()
            if not path.is_dir():
                raise UsageError(f"{root!r} is no folder and no URL", hint="give --from FOLDER or --from https://host")
            yield Folder(path / "registry" if (path / "registry").is_dir() else path)


class Folder:
    """A registry in a folder: that which holds NAMESPACE/NAME/VERSION."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def manifest(self, reference: str) -> dict[str, Any]:
        """The manifest of the entry; one that was put there by hand is hashed now."""
        found = matching_below(self._root, reference)
        known = () if found else all_below(self._root)
        return manifest_of(only(found, reference, where=str(self._root), known=known))

    def fetch(self, manifest: Mapping[str, Any], relative: str, mark: Mark, target: Path) -> None:
        """Copy a file."""
        del mark
        reference = f"{manifest['namespace']}/{manifest['name']}/{manifest['version']}"
        try:
            entry = only(matching_below(self._root, reference), reference, where=str(self._root), known=())
            source = content_file(entry, relative).open("rb")
        except (UsageError, OSError) as error:
            raise EndpointError(f"{self._root}: {reference}/{relative} cannot be read, {error}") from error
        with source, target.open("wb") as copy:
            shutil.copyfileobj(source, copy, CHUNK_BYTES)


def _open_server(url: str, key: Secret | None) -> AbstractContextManager[Server]:
    import httpx

    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc or parts.query:
        raise UsageError(
            "the address of a registry must be http(s)://host[:port][/path]", hint="give --from https://host"
        )
    local = _is_loopback(parts.hostname)
    if key is not None and parts.scheme == "http" and not local:
        raise EndpointError(
            f"the key would go to {parts.hostname} in the clear", hint="use https://, or leave the key out"
        )
    headers = {"Accept-Encoding": "identity", **({"Authorization": f"Bearer {key.reveal()}"} if key else {})}
    timeout = httpx.Timeout(READ_S, connect=CONNECT_S)
    client = httpx.Client(headers=headers, timeout=timeout, follow_redirects=False, trust_env=not local)

    @contextmanager
    def opened() -> Iterator[Server]:
        with client:
            yield Server(client, url.rstrip("/"))

    return opened()


class Server:
    """A registry behind a URL."""

    def __init__(self, client: httpx.Client, base_url: str) -> None:
        self._client = client
        self._base_url = base_url

    def manifest(self, reference: str) -> dict[str, Any]:
        """The manifest of the entry; the server knows which version `latest` is."""
        parts = reference.split("/")
        if len(parts) not in (2, 3) or not all(is_part(part) for part in parts):
            raise UsageError(f"entry {reference!r} is no ns/name or ns/name/version", hint="name it in full")
        url = self._url([*parts, LATEST][:3], "manifest.json")
        body = b""
        with self._get(url, {}) as response:
            if response.status_code == 404:
                raise UsageError(f"entry {reference!r} is not at {self._base_url}", hint="check its name and version")
            _check_status(response, url, {200})
            for chunk in response.iter_raw(PIECE_BYTES):
                body += chunk
                if len(body) > LONGEST_BYTES:
                    raise EndpointError(f"{url}: is larger than {LONGEST_BYTES >> 20} MiB", hint="is it a manifest?")
        try:
            found = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise EndpointError(f"{url}: is no JSON, {error}", hint="is this the address of a registry?") from error
        if not isinstance(found, dict):
            raise EndpointError(f"{url}: is no object", hint="is this the address of a registry?")
        return found

    def fetch(self, manifest: Mapping[str, Any], relative: str, mark: Mark, target: Path) -> None:
        """Fetch a file, from the byte on that is missing, and never more than its size."""
        url = self._url([manifest["namespace"], manifest["name"], manifest["version"]], f"files/{relative}")
        have = target.stat().st_size if target.is_file() else 0
        if have >= mark.size:
            have = 0
        with self._get(url, {"Range": f"bytes={have}-"} if have else {}) as response:
            _check_status(response, url, {200, 206} if have else {200})
            goes_on = response.status_code == 206
            if goes_on and not response.headers.get("content-range", "").startswith(f"bytes {have}-"):
                raise EndpointError(f"{url}: sent another part than was asked for", hint="the server is at fault")
            size = have if goes_on else 0
            with target.open("ab" if goes_on else "wb") as copy:
                for chunk in response.iter_raw(PIECE_BYTES):
                    size += len(chunk)
                    if size > mark.size:
                        raise EndpointError(f"{url}: is longer than its manifest says, {mark.size} bytes")
                    copy.write(chunk)

    def _url(self, parts: list[str], rest: str) -> str:
        return f"{self._base_url}/registry/{'/'.join(parts)}/{quote(rest)}"

    @contextmanager
    def _get(self, url: str, headers: Mapping[str, str]) -> Iterator[httpx.Response]:
        """The reply, after redirects that stay with this host.

        Raises:
            EndpointError: it breaks off, leads to another host, or leads in a circle.
        """
        import httpx

        asked = url
        try:
            for _ in range(MOST_REDIRECTS + 1):
                with self._client.stream("GET", asked, headers=dict(headers)) as response:
                    if not response.is_redirect:
                        yield response
                        return
                    target = urljoin(asked, response.headers.get("location", ""))
                if _origin(target) != _origin(asked):
                    raise EndpointError(
                        f"{url}: leads to another host, {_origin(target)}", hint="if that is right, give it as --from"
                    )
                asked = target
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            what = str(error) or type(error).__name__
            raise EndpointError(
                f"{url}: cannot be fetched, {what}", hint="the same command again goes on where this one ended"
            ) from error
        raise EndpointError(f"{url}: leads on and on", hint="the server is at fault")


def _check_status(response: httpx.Response, url: str, wanted: set[int]) -> None:
    status = response.status_code
    if status in (401, 403):
        raise EndpointError(
            f"{url}: is refused, status {status}", hint="give --api-key-env NAME with the server's token"
        )
    if status not in wanted:
        raise EndpointError(f"{url}: answered with status {status}", hint="look at the server's log")
    if response.headers.get("content-encoding", "identity") != "identity":
        raise EndpointError(f"{url}: is compressed though that was not asked for", hint="the server is at fault")


def _origin(url: str) -> tuple[str, str | None, int | None]:
    try:
        parts = urlsplit(url)
        return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return "", None, None


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
