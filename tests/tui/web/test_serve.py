"""`ratematch serve` in a real browser: it draws, and keys reach it. Skipped where no browser is installed."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from planner.inputs.fields import FIELDS

aiohttp = pytest.importorskip("aiohttp")  # what textual-serve itself needs
pytest.importorskip("textual_serve")

from tui.cli import main  # noqa: E402
from tui.web import server, sessions  # noqa: E402
from tui.web.door import Door  # noqa: E402
from tui.web.door import new as door_of  # noqa: E402

ROOT = Path(__file__).parents[3]
BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None
)
PATIENCE_S = 120.0  # for what never comes, not a measurement
SMALL = ["--model", "llama-3.1-8b", "--system", "h100", "--gpus", "8", "--isl", "2k", "--osl", "256"]
QUIET = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--window-size=1280,800",
    "--remote-debugging-port=0",
)


def free_port() -> int:
    """A port that no one listens on."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return int(probe.getsockname()[1])


class Page:
    """One page of a browser, driven by its debugging protocol."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._answers: dict[int, Any] = {}
        self.sent = b""  # what the application has drawn, as a terminal would get it

    async def call(self, method: str, **params: Any) -> Any:
        """One command and its answer."""
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": params})
        await self.until(lambda: number in self._answers)
        return self._answers.pop(number)

    async def until(self, condition: Callable[[], object]) -> None:
        """Take in what the browser says until something holds."""
        end = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < end, self.text[-2000:]
            try:
                news = await asyncio.wait_for(self._socket.receive_json(), 0.2)
            except asyncio.TimeoutError:
                continue
            if "id" in news:
                self._answers[news["id"]] = news.get("result", news)
            elif news["method"] == "Network.webSocketFrameReceived":
                frame = news["params"]["response"]
                binary = frame["opcode"] == 2
                self.sent += base64.b64decode(frame["payloadData"]) if binary else b""

    @property
    def text(self) -> str:
        """All that was drawn, without colours and moves."""
        return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", self.sent.decode("utf-8", "replace"))

    async def press(self, key: str, code: int) -> None:
        """A key, down and up."""
        text = {"text": key} if len(key) == 1 else {}
        await self.call("Input.dispatchKeyEvent", type="keyDown", key=key, windowsVirtualKeyCode=code, **text)
        await self.call("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)


@pytest.fixture
def served(tmp_path: Path) -> Any:
    """The application on a port of its own."""
    port = free_port()
    home = {f"XDG_{name}_HOME": str(tmp_path / name.lower()) for name in ("CONFIG", "DATA", "STATE", "CACHE")}
    process = subprocess.Popen(
        [sys.executable, "-m", "tui.cli", "serve", "--port", str(port), *SMALL],
        cwd=ROOT,
        env={**os.environ, **home, "LANG": "C.UTF-8"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    yield port, process
    if process.poll() is None:
        process.kill()
    process.communicate()


@pytest.fixture
async def page(tmp_path: Path) -> AsyncIterator[Page]:
    if BROWSER is None:
        pytest.skip("no browser is installed")
    browser = await asyncio.create_subprocess_exec(
        BROWSER, *QUIET, f"--user-data-dir={tmp_path / 'browser'}", "about:blank", stderr=subprocess.PIPE
    )
    try:
        assert browser.stderr is not None
        found = None
        while not found:
            line = await asyncio.wait_for(browser.stderr.readline(), PATIENCE_S)
            assert line, "the browser did not start"
            found = re.search(rb"ws://([^/]+)/", line)
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://{found[1].decode()}/json/list") as listed:
                target = next(item for item in await listed.json() if item["type"] == "page")
            async with session.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                yield Page(socket)
    finally:
        if browser.returncode is None:
            browser.kill()
        await browser.wait()


def printed(process: Any) -> str:
    """The address to open, once something listens there."""
    line = process.stdout.readline().decode().strip()
    assert line.startswith("http://"), (line, process.stderr.read() if process.poll() is not None else "")
    return str(line)


async def test_it_draws_in_a_browser_and_takes_keys(served: Any, page: Page, tmp_path: Path) -> None:
    _, process = served
    address = printed(process)
    await page.call("Network.enable")
    await page.call("Page.enable")
    await page.call("Page.navigate", url=address)
    await page.until(lambda: "up to date" in page.text)
    where = await page.call("Runtime.evaluate", expression="location.href + document.title")
    assert where["result"]["value"] == f"http://localhost:{served[0]}/ratematch"  # the token has gone
    assert "llama-3.1-8b" in page.text and "tok/s/GPU" in page.text
    await page.call("Input.dispatchMouseEvent", type="mousePressed", x=640, y=4, button="left", clickCount=1)
    await page.call("Input.dispatchMouseEvent", type="mouseReleased", x=640, y=4, button="left", clickCount=1)
    for _ in range([field.key for field in FIELDS].index("gpus")):
        await page.press("j", 74)
    page.sent = b""
    await page.press("ArrowLeft", 37)
    await page.until(lambda: "4 h100" in page.text and "up to date" in page.text)
    shot = await page.call("Page.captureScreenshot", format="png")
    picture = base64.b64decode(shot["data"])
    (tmp_path / "browser.png").write_bytes(picture)
    assert len(picture) > 30_000  # an empty page is a few kilobytes
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=PATIENCE_S) in (0, 130)


async def test_a_port_in_use_is_one_line(served: Any) -> None:
    port, process = served
    printed(process)
    second = subprocess.run(
        [sys.executable, "-m", "tui.cli", "serve", "--port", str(port)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert second.returncode == 1
    assert re.fullmatch(rf"ratematch: port {port}: .*\n", second.stderr), second.stderr


# The door


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


# The application behind the door


class Visitor:
    """A page that came in by the door, without a browser around it: what it gets, and what it types."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self.sent = b""
        self.downloads: list[str] = []

    @property
    def text(self) -> str:
        """All that was drawn since it was emptied, without colours and moves."""
        return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", self.sent.decode("utf-8", "replace"))

    async def type(self, keys: str) -> None:
        """Press keys; what they draw is looked at from here on."""
        self.sent = b""
        await self._socket.send_json(["stdin", keys])

    async def until(self, condition: Callable[[], object]) -> None:
        """Take in what comes until something holds."""
        end = time.monotonic() + PATIENCE_S
        while not condition():
            message = await asyncio.wait_for(self._socket.receive(), max(end - time.monotonic(), 0.1))
            if message.type == aiohttp.WSMsgType.BINARY:
                self.sent += message.data
            elif message.type == aiohttp.WSMsgType.TEXT:
                news = message.json()
                if news[0] == "deliver_file_start":
                    self.downloads.append(news[1])
            else:
                pytest.fail(f"the session ended: {self.text[-2000:]}")


def files_under(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


async def test_what_is_exported_or_saved_goes_to_the_browser_and_to_no_folder_here(
    served: Any, tmp_path: Path
) -> None:
    _, process = served
    address = printed(process)
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(cookie_jar=jar) as session:
        async with session.get(address) as response:
            own = f"http://{response.url.host}:{response.url.port}"
            assert response.status == 200
        async with session.ws_connect(f"{own}/ws?width=120&height=36", headers={"Origin": own}) as connected:
            visitor = Visitor(connected)
            await visitor.until(lambda: "up to date" in visitor.text)
            before = files_under(tmp_path)

            async def download() -> tuple[str, str]:
                await visitor.until(lambda: visitor.downloads)
                async with session.get(f"{own}/download/{visitor.downloads.pop()}") as response:
                    return await response.text(), response.headers["Content-Disposition"]

            await visitor.type("w")
            text, name = await download()
            assert "gpus = 8" in text and 'filename="llama-3.1-8b-h100.toml"' in name
            await visitor.type("e")
            await visitor.until(lambda: "a download" in visitor.text)
            target = tmp_path / "elsewhere.json"
            await visitor.type(
                f"\x15\x1b[200~{target}\x1b[201~\r"
            )  # as a page that wants to write there would
            await visitor.until(lambda: "is not accepted" in visitor.text)
            await visitor.type("\x15mine\r")
            text, name = await download()
            assert '"status": "optimal"' in text and 'filename="mine.json"' in name
            await visitor.type("y")
            await visitor.until(lambda: "Copied" in visitor.text)
            assert "Also in" not in visitor.text
            assert files_under(tmp_path) == before and not target.exists()
