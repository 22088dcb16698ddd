"""A trace, or a part of one, as text in the format of `planner.inputs.traces.table`."""

from __future__ import annotations

import csv
import io
import json

from planner.inputs.requests import NO_SESSION, Requests


def text_of(requests: Requests) -> str:
    """CSV; JSON lines where blocks are known. Times to the microsecond."""
    return _json(requests) if len(requests.block_start) else _csv(requests)


def _csv(requests: Requests) -> str:
    sessions = bool((requests.session != NO_SESSION).any())
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["time_s", "input_tokens", "output_tokens", *(["session"] if sessions else [])])
    for time, isl, osl, session in _rows(requests):
        named = [] if not sessions else ["" if session == NO_SESSION else session]
        writer.writerow([f"{time:.6f}", isl, osl, *named])
    return text.getvalue()


def _json(requests: Requests) -> str:
    lines = []
    start, blocks = requests.block_start.tolist(), requests.blocks.tolist()
    for i, (time, isl, osl, session) in enumerate(_rows(requests)):
        row: dict[str, object] = {"time_s": round(time, 6), "input_tokens": isl, "output_tokens": osl}
        if session != NO_SESSION:
            row["session"] = session
        row["blocks"] = blocks[start[i] : start[i + 1]]
        if not i:
            row["block_tokens"] = requests.block_tokens
            row.setdefault("session", None)
        lines.append(json.dumps(row))
    return "\n".join(lines) + "\n"


def _rows(requests: Requests) -> zip[tuple[float, int, int, int]]:
    return zip(
        requests.arrival_s.tolist(),
        requests.isl.tolist(),
        requests.osl.tolist(),
        requests.session.tolist(),
        strict=True,
    )
