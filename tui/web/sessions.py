"""One application for each open page: a process that ends with its socket, whatever it is busy with."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from asyncio.subprocess import Process
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from textual_serve.app_service import AppService
from textual_serve.download_manager import DownloadManager

from tui.files import storage

COLUMNS, ROWS = (20, 400), (6, 150)  # what a terminal may measure: 60,000 cells are drawn in time
LEAVE_S = 3.0  # for an application to save its session and go


def within(value: object, bounds: tuple[int, int]) -> int | None:
    """A number of cells, brought within bounds; None for what is no number.

    >>> within("9999999", COLUMNS), within(-3, ROWS), within("many", ROWS)
    (400, 6, None)
    """
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    low, high = bounds
    return min(max(value, low), high)


class Session(AppService):
    """An application in a process group of its own."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        write_bytes: Callable[[bytes], Awaitable[None]],
        write_str: Callable[[str], Awaitable[None]],
        close: Callable[[], Awaitable[object]],
        downloads: DownloadManager,
        kept: Path | None = None,
    ) -> None:
        super().__init__(
            "",
            write_bytes=write_bytes,
            write_str=write_str,
            close=close,  # type: ignore[arg-type]  # what it returns is not used
            download_manager=downloads,
        )
        self._words = tuple(command)
        self._kept = kept  # where the application keeps its session, for the browser's next page

    async def _open_app_process(self, width: int = 80, height: int = 24) -> Process:
        """Without a shell, so that the process is the application and not its parent."""
        self._process = await asyncio.create_subprocess_exec(
            *self._words,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={
                **self._build_environment(width=width, height=height),
                storage.SESSION: str(self._kept or ""),
            },
            start_new_session=True,
        )
        assert self._process.stdin is not None
        self._stdin = self._process.stdin
        return self._process

    async def stop(self) -> None:
        """Ask it to go; what has not gone in `LEAVE_S` is ended."""
        process, task = self._process, self._task
        if process is None or task is None:
            return
        self._task = None
        await self._download_manager.cancel_app_downloads(app_service_id=self.app_service_id)
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._leave(process), LEAVE_S)
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    async def _leave(self, process: Process) -> None:
        # a process that reads nothing must not hold this up: the caller's time ends it
        await self.send_meta({"type": "quit"})
        await process.wait()
