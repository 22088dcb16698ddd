"""`ratematch serve`: textual-serve behind a door, with pages of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import secrets
import signal
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import aiohttp_jinja2
import jinja2
import textual_serve
from aiohttp import WSCloseCode, WSMsgType, web
from textual_serve.download_manager import DownloadManager

from tui.web.door import HEADERS, TOKEN, Door
from tui.web.sessions import COLUMNS, LEAVE_S, ROWS, Session, within

MOST_SESSIONS = 8  # applications at once: each plans with all it gets of a core
MOST_BROWSERS = 64  # whose sessions are kept
LARGEST_MESSAGE = 1 << 18  # bytes of one message from a page: a paste of 250 kB
BODY = {"width": "80", "height": "24"}  # of a page that does not say
PAGES = Path(__file__).parent / "pages"
TERMINAL = Path(textual_serve.__file__).parent / "static"  # the terminal of the page, and its font

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Server:
    """The application, one for each page that came in by the door."""

    def __init__(self, command: Sequence[str], door: Door, *, most_sessions: int = MOST_SESSIONS) -> None:
        self._command = tuple(command)
        self._door = door
        self._most = most_sessions
        self._downloads = DownloadManager()
        self._open: dict[web.WebSocketResponse, asyncio.Task[Any]] = {}  # and who attends to it
        self._of: dict[web.WebSocketResponse, str] = {}  # whose browser each is
        self._browsers: list[str] = []  # that came in by the door, the newest last
        self._folder = tempfile.TemporaryDirectory(prefix="ratematch-")  # of this user alone
        logging.getLogger("textual-serve").disabled = True  # a page that leaves early is no news

    @property
    def sessions(self) -> int:
        """Applications that run now, those that are leaving included."""
        return len(self._open)

    def app(self) -> web.Application:
        """The routes, all behind the door."""
        app = web.Application(middlewares=[self._guard])
        aiohttp_jinja2.setup(app, loader=jinja2.FileSystemLoader(PAGES), autoescape=True)
        app.add_routes(
            [
                web.get("/", self._page),
                web.get("/ws", self._socket),
                web.get("/download/{key}", self._download),
                web.static("/pages", PAGES),
                web.static("/static", TERMINAL),
            ]
        )
        app.on_shutdown.append(self._leave)
        return app

    async def run(self, listening: Callable[[], None] = lambda: None) -> None:
        """Serve until the process is told to end. Raises OSError for a port that cannot be had."""
        over = asyncio.Event()
        loop = asyncio.get_running_loop()
        for name in (signal.SIGINT, signal.SIGTERM):
            with contextlib.suppress(NotImplementedError):
                loop.add_signal_handler(name, over.set)
        runner = web.AppRunner(self.app(), access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._door.host, self._door.port).start()
            listening()
            await over.wait()
        finally:
            await runner.cleanup()

    # The door

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Every request passes here; what is refused learns nothing but that."""
        if not self._door.knows_host(request.host):
            return self._refused(request, "this server does not go by that name")
        if request.path == "/" and self._door.knows_token(request.query.get(TOKEN)):
            return self._let_in(request)
        if not self._door.knows_token(request.cookies.get(self._door.cookie)):
            return self._refused(request, "open the address that ratematch printed: it has a token in it")
        try:
            response = await handler(request)
        except web.HTTPException as error:
            error.headers.update(HEADERS)
            raise
        if not response.prepared:
            response.headers.update(HEADERS)
        return response

    def _let_in(self, request: web.Request) -> web.StreamResponse:
        """The token becomes a cookie and leaves the address."""
        response = web.Response(status=303, headers={**HEADERS, "Location": "/"})
        response.set_cookie(self._door.cookie, self._door.token, httponly=True, samesite="Strict", path="/")
        if request.cookies.get(self._door.browser) not in self._browsers:
            name = secrets.token_urlsafe(16)
            self._browsers.append(name)
            if len(self._browsers) > MOST_BROWSERS:
                self._file_of(self._browsers.pop(0)).unlink(missing_ok=True)
            response.set_cookie(self._door.browser, name, httponly=True, samesite="Strict", path="/")
        return response

    def _file_of(self, browser: str) -> Path:
        """Where the session of a browser is kept, for as long as this server runs."""
        return Path(self._folder.name) / f"{browser}.json"

    def _refused(self, request: web.Request, reason: str) -> web.StreamResponse:
        response = aiohttp_jinja2.render_template("refused.html", request, {"reason": reason}, status=403)
        response.headers.update(HEADERS)
        return response

    # The page

    @aiohttp_jinja2.template("application.html")
    async def _page(self, request: web.Request) -> Mapping[str, Any]:
        return {"socket": f"ws://{request.host}/ws"}

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        """One page's application, from its opening to its end."""
        if not self._door.knows_origin(request.headers.get("Origin"), request.host):
            return self._refused(request, "the page came from elsewhere")
        size = [within(request.query.get(key, BODY[key]), bounds) for key, bounds in _SIDES]
        socket = web.WebSocketResponse(heartbeat=15, timeout=1.0, max_msg_size=LARGEST_MESSAGE)
        if len(self._open) >= self._most or None in size:
            full = b"as many sessions as may be are open" if None not in size else b"no such size"
            await socket.prepare(request)
            await socket.close(code=WSCloseCode.TRY_AGAIN_LATER, message=full)
            return socket
        browser = request.cookies.get(self._door.browser, "")
        browser = browser if browser in self._browsers else ""
        leaving = [task for other, task in self._open.items() if other.closed and self._of[other] == browser]
        attending = asyncio.current_task()
        assert attending is not None
        self._open[socket], self._of[socket] = attending, browser
        try:
            await socket.prepare(request)
            if leaving and browser:  # the page before this one: what it leaves is taken up
                await asyncio.wait(leaving, timeout=LEAVE_S)
            session = Session(
                self._command,
                write_bytes=_quietly(socket.send_bytes),
                write_str=_quietly(socket.send_str),
                close=socket.close,
                downloads=self._downloads,
                kept=self._file_of(browser) if browser else None,
            )
            try:
                await session.start(*(side for side in size if side is not None))
                await self._converse(socket, session)
            finally:
                await asyncio.shield(session.stop())
        finally:
            del self._open[socket], self._of[socket]
        return socket

    async def _converse(self, socket: web.WebSocketResponse, session: Session) -> None:
        """Hand on what the page sends, until one of the two ends; a message out of shape ends it."""
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                continue
            try:
                await _hand_on(json.loads(message.data), socket, session)
            except (ValueError, TypeError, KeyError, IndexError, RecursionError):
                await socket.close(code=WSCloseCode.POLICY_VIOLATION, message=b"not a message")
                return

    async def _download(self, request: web.Request) -> web.StreamResponse:
        """A file that the application hands to its browser."""
        try:
            found = await self._downloads.get_download_metadata(request.match_info["key"])
        except KeyError:
            raise web.HTTPNotFound(text="no such file") from None
        kept = "".join(c if c.isalnum() or c in "-_." else "_" for c in found.file_name)
        headers = {
            **HEADERS,
            "Content-Type": "application/octet-stream",
            "Content-Disposition": f'attachment; filename="{kept}"',
        }
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        async for chunk in self._downloads.download(request.match_info["key"]):
            await response.write(chunk)
        await response.write_eof()
        return response

    async def _leave(self, app: web.Application) -> None:
        """Close every socket, and wait until its application has ended: none may outlive the server."""
        held = dict(self._open)
        await asyncio.gather(*(socket.close(code=WSCloseCode.GOING_AWAY) for socket in held))
        if held:
            await asyncio.wait(held.values(), timeout=2 * LEAVE_S)
        self._folder.cleanup()


_SIDES = (("width", COLUMNS), ("height", ROWS))


async def _hand_on(message: Any, socket: web.WebSocketResponse, session: Session) -> None:
    """One message of a page. Raises ValueError, TypeError, KeyError or IndexError for one out of shape."""
    kind = message[0]
    if kind == "stdin":
        await session.send_bytes(
            message[1].encode("utf-8", "replace") if isinstance(message[1], str) else b""
        )
    elif kind == "resize":
        width, height = (within(message[1][key], bounds) for key, bounds in _SIDES)
        if width is None or height is None:
            raise ValueError("no such size")
        await session.set_terminal_size(width, height)
    elif kind == "ping":
        await socket.send_json(["pong", str(message[1])[:64]])
    elif kind == "focus":
        await session.focus()
    elif kind == "blur":
        await session.blur()


def _quietly(send: Callable[[Any], Awaitable[None]]) -> Callable[[Any], Awaitable[None]]:
    """Sending to a page that has just gone is no error."""

    async def sent(data: Any) -> None:
        with contextlib.suppress(ConnectionError, RuntimeError):
            await send(data)

    return sent
