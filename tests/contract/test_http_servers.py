"""What real servers and gateways do that no standard asks for, and what the engine's own HTTP client makes of it."""

from __future__ import annotations

import json

from tests import servers as s
from tests.contract.http_kit import HELLO, reach, text

__all__ = ["reach"]  # a fixture

LISTING = json.dumps({"data": [{"id": "m"}]}).encode()


async def test_a_probe_over_a_connection_that_the_server_closes_meanwhile_is_made_again(reach):
    async def script(connection: s.Connection) -> bool:
        if connection.served:
            return False  # the request is read and nothing is said
        await connection.write(s.http(HELLO if connection.method == "POST" else LISTING))
        return True

    endpoint, server = await reach(script)
    for _ in range(3):
        await endpoint.probe()
    assert endpoint.listing == ("m",)
    assert server.opened == 3
    assert len(server.seen) == 5  # two of them over a connection that ended
