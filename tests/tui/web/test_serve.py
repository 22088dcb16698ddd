"""`ratematch serve` in a real browser: it draws, and keys reach it. Skipped where no browser is installed."""

from __future__ import annotations

import asyncio
import base64
import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from terminals import Emulator, free_port

from tui.panes.inputs import COMMON

pytestmark = pytest.mark.slow  # many applications and terminals

aiohttp = pytest.importorskip("aiohttp")  # what textual-serve itself needs
pytest.importorskip("textual_serve")

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


class Page:
    """One page of a browser, driven by its debugging protocol."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._answers: dict[int, Any] = {}
        self._terminal = Emulator(columns=300, rows=100)  # at least as large as the page's

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
                if frame["opcode"] == 2:
                    self._terminal.feed(base64.b64decode(frame["payloadData"]))

    @property
    def text(self) -> str:
        """What its terminal shows."""
        return self._terminal.text

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
    for _ in range(COMMON.index("gpus")):  # without a click: keys go to the application from the start
        await page.press("j", 74)
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


# The application behind the door


class Visitor:
    """A page that came in by the door, without a browser around it: what it gets, and what it types."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self._terminal = Emulator(columns=120, rows=36)
        self.downloads: list[str] = []

    @property
    def text(self) -> str:
        """What it is shown."""
        return self._terminal.text

    async def type(self, keys: str) -> None:
        """Press keys."""
        await self._socket.send_json(["stdin", keys])

    async def until(self, condition: Callable[[], object]) -> None:
        """Take in what comes until something holds."""
        end = time.monotonic() + PATIENCE_S
        while not condition():
            message = await asyncio.wait_for(self._socket.receive(), max(end - time.monotonic(), 0.1))
            if message.type == aiohttp.WSMsgType.BINARY:
                self._terminal.feed(message.data)
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
            await visitor.type("\x15mine.json\r")
            text, name = await download()
            assert '"status": "optimal"' in text and 'filename="mine.json"' in name
            await visitor.type("y")
            await visitor.until(lambda: "Copied" in visitor.text)
            assert "Also in" not in visitor.text
            assert files_under(tmp_path) == before and not target.exists()


async def test_a_page_loaded_again_goes_on_where_it_was_and_another_browser_begins_anew(served: Any) -> None:
    _, process = served
    address = printed(process)

    async def shown(session: Any, keys: str, wanted: str) -> None:
        own = f"http://localhost:{served[0]}"
        async with session.get(address):
            pass
        async with session.ws_connect(f"{own}/ws?width=120&height=36", headers={"Origin": own}) as connected:
            visitor = Visitor(connected)
            await visitor.until(lambda: "up to date" in visitor.text)
            await visitor.type(keys)
            await visitor.until(lambda: wanted in visitor.text and "up to date" in visitor.text)

    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        await shown(session, "j" * COMMON.index("gpus") + "\x1b[D", "4 h100")
        await shown(session, "", "4 h100")
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        await shown(session, "", "8 h100")
