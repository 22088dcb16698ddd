"""The door of `serve`: who comes in, how many, and what goes with them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from terminals import free_port

from tui.cli import main
from tui.web import server, sessions
from tui.web.door import Door
from tui.web.door import new as door_of

aiohttp = pytest.importorskip("aiohttp")  # what textual-serve itself needs
pytest.importorskip("textual_serve")


@pytest.fixture
async def door(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Door, server.Server]]:
    """A server in this process, whose applications only say that they are there."""
    monkeypatch.setattr(sessions, "LEAVE_S", 0.05)  # these applications take no word to leave
    found = door_of("localhost", free_port())
    serving = server.Server([sys.executable, "-c", QUIET_APPLICATION], found, most_sessions=3)
    task = asyncio.create_task(serving.run())
    async with aiohttp.ClientSession() as session:
        for _ in range(600):
            try:
                async with session.get(f"http://localhost:{found.port}/"):
                    break
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.05)
        else:
            task.cancel()
            pytest.fail("the server never listened")
    yield found, serving
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


QUIET_APPLICATION = """
import sys, time
print("__GANGLION__", flush=True)
time.sleep(600)  # deaf: reads nothing, goes for no word
"""


def headers(found: Door, **more: str) -> dict[str, str]:
    """Those of a browser whose page came in by the door."""
    own = f"http://localhost:{found.port}"
    return {"Cookie": f"{found.cookie}={found.token}", "Origin": own, **more}


async def refused(found: Door, path: str, sent: dict[str, str]) -> bool:
    """Whether a request, or a websocket where `path` is one, is turned away."""
    async with aiohttp.ClientSession() as session:
        url = f"http://localhost:{found.port}{path}"
        if path.startswith("/ws"):
            try:
                async with session.ws_connect(url, headers=sent):
                    return False
            except aiohttp.WSServerHandshakeError as error:
                return error.status == 403
        async with session.get(url, headers=sent, allow_redirects=False) as response:
            return response.status == 403


async def test_only_the_printed_address_lets_in(door: Any) -> None:
    found, _ = door
    async with aiohttp.ClientSession() as session:
        async with session.get(found.address, allow_redirects=False) as response:
            assert (response.status, response.headers["Location"]) == (303, "/")
            cookie = response.headers["Set-Cookie"]
        assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
    assert not await refused(found, "/", headers(found))
    assert not await refused(found, "/ws?width=80&height=24", headers(found))
    for path in ("/", "/ws", "/pages/page.js", "/static/js/textual.js", "/download/x", "/?token=wrong"):
        assert await refused(found, path, {"Origin": f"http://localhost:{found.port}"}), path
        assert await refused(found, path, headers(found, Cookie=f"{found.cookie}=guess")), path


async def test_a_foreign_page_is_refused(door: Any) -> None:
    found, _ = door
    for origin in ("http://evil.example", "null", "http://localhost:1", f"https://localhost:{found.port}"):
        assert await refused(found, "/ws", headers(found, Origin=origin)), origin
    none = headers(found)
    none.pop("Origin")
    assert await refused(found, "/ws", none)


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "localhost", "localhost:x", "a@b:{port}"]
)
async def test_a_name_made_to_lead_here_is_refused(door: Any, host: str) -> None:
    found, _ = door
    name = host.format(port=found.port)
    for path in ("/", "/ws", f"/?token={found.token}"):
        assert await refused(found, path, headers(found, Host=name, Origin=f"http://{name}")), path


async def test_pages_name_nothing_outside_and_cannot_be_framed(door: Any) -> None:
    found, _ = door
    async with aiohttp.ClientSession() as session:
        for path in ("/", "/pages/page.css", "/pages/page.js", "/nowhere"):
            url = f"http://localhost:{found.port}{path}"
            async with session.get(url, headers=headers(found)) as response:
                assert "default-src 'none'" in response.headers["Content-Security-Policy"]
                assert response.headers["X-Frame-Options"] == "DENY"
                outside = re.sub(rf"ws://localhost:{found.port}", "", await response.text())
                assert "//" not in outside, path


async def test_sockets_that_go_leave_no_process(door: Any) -> None:
    """A hundred pages opened and dropped, three at a time; the applications take no word to leave."""
    found, serving = door
    url = f"http://localhost:{found.port}/ws?width=9999999&height=9999999"
    async with aiohttp.ClientSession() as session:

        async def visit() -> None:
            socket = await session.ws_connect(url, headers=headers(found))
            await socket.close()

        for _ in range(34):
            await asyncio.gather(*(visit() for _ in range(3)), return_exceptions=True)
            while serving.sessions:
                await asyncio.sleep(0.01)
    children = subprocess.run(
        ["ps", "--ppid", str(os.getpid()), "-o", "args="], capture_output=True, text=True
    ).stdout
    assert "__GANGLION__" not in children


async def test_there_is_a_most_of_sessions(door: Any) -> None:
    found, _ = door
    url = f"http://localhost:{found.port}/ws"
    async with aiohttp.ClientSession() as session:
        held = [await session.ws_connect(url, headers=headers(found)) for _ in range(3)]
        one_more = await session.ws_connect(url, headers=headers(found))
        closed = await one_more.receive()
        assert (closed.type, closed.data) == (aiohttp.WSMsgType.CLOSE, 1013)
        for socket in held:
            await socket.close()


@pytest.mark.parametrize(
    "sent",
    ["{", "[]", "7", '["resize", 3]', '["resize", {"width": "x", "height": 1}]', "[" * 100_000],
    ids=["half", "empty", "number", "no-size", "no-number", "deep"],
)
async def test_a_message_out_of_shape_ends_the_session(door: Any, sent: str) -> None:
    found, _ = door
    url = f"http://localhost:{found.port}/ws"
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(url, headers=headers(found)) as socket,
    ):
        await socket.send_str(sent)
        closed = await socket.receive()
        assert (closed.type, closed.data) == (aiohttp.WSMsgType.CLOSE, 1008)


def test_another_address_only_with_a_warning(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made: list[tuple[list[str], Door]] = []

    class Server:
        def __init__(self, command: list[str], door: Door) -> None:
            made.append((command, door))

        async def run(self, listening: Callable[[], None]) -> None:
            listening()

    monkeypatch.setattr(server, "Server", Server)
    assert main.main(["serve", "--port", "8123", "--isl", "4k"]) == 0
    said = capsys.readouterr()
    assert (made[0][1].host, made[0][1].port, said.err) == ("localhost", 8123, "")
    assert "--isl=4k" in made[0][0] and f"http://localhost:8123/?token={made[0][1].token}" in said.out
    assert main.main(["serve", "--host", "0.0.0.0"]) == 0
    said = capsys.readouterr()
    assert made[1][1].host == "0.0.0.0" and "can be reached by others" in said.err
    assert made[0][1].token != made[1][1].token
    assert main.main(["serve", "--host", ""]) == 2  # an unset variable would open it to everyone
    assert len(made) == 2 and "host" in capsys.readouterr().err
