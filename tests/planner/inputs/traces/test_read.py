"""Traces: each format by what it holds, damage as one line or counted."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pytest

from planner.errors import InputError
from planner.inputs.traces import read_requests

pytest.importorskip("pyarrow")

AZURE = """TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 18:15:46.6805900,374,44
2023-11-16 18:15:50.9951690,396,109
2023-11-16 18:16:51.2224670,879,55
"""


def mooncake(ticks=10, each=4):
    rows = [
        {"timestamp": 3000 * (i // each), "input_length": 1000, "output_length": 5, "hash_ids": [0, i + 1]}
        for i in range(ticks * each)
    ]
    return "".join(json.dumps(row) + "\n" for row in rows)


def read(tmp_path, text, name="trace", **how):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_requests(path, **how)


def test_azure(tmp_path):
    requests, repairs = read(tmp_path, AZURE)
    assert requests.arrival_s.tolist() == pytest.approx([0.0, 4.314579, 64.541877], abs=1e-9)
    assert requests.isl.tolist() == [374, 396, 879] and requests.osl.tolist() == [44, 109, 55]
    assert (requests.session == -1).all() and not len(requests.blocks)
    assert repairs.format == "Azure CSV" and not list(repairs.sentences())


def test_azure_of_2024_has_a_zone(tmp_path):
    lines = AZURE.splitlines()
    text = "\n".join([lines[0], *(line.replace(",", "+00:00,", 1) for line in lines[1:])])
    assert read(tmp_path, text)[0].seconds == pytest.approx(64.541877)
    mixed = "\n".join([lines[0], "2024-05-10 10:00:00+02:00,1,1", "2024-05-10T08:00:30Z,2,2"])
    assert read(tmp_path, mixed)[0].arrival_s.tolist() == [0.0, 30.0]


@pytest.mark.parametrize("text", [AZURE, mooncake()])
def test_gzip_is_seen_by_its_bytes(tmp_path, text):
    plain, packed = read(tmp_path, text), read(tmp_path, gzip.compress(text.encode()), "packed")
    assert np.array_equal(plain[0].arrival_s, packed[0].arrival_s)
    assert plain[1] == packed[1]


def test_mooncake_is_spread_over_its_ticks_in_its_order(tmp_path):
    requests, repairs = read(tmp_path, mooncake())
    assert repairs.tick_s == 3.0 and repairs.spread == 40
    assert list(repairs.sentences()) == ["40 requests spread evenly over clock ticks of 3 s"]
    assert (np.diff(requests.arrival_s) > 0).all() and requests.arrival_s[0] == 0
    assert (np.abs(requests.arrival_s - 3.0 * (np.arange(40) // 4)) < 3.0).all()
    assert requests.blocks[1::2].tolist() == list(range(1, 41))  # in the order of the file
    assert requests.block_tokens == 512 and requests.block_start.tolist() == list(range(0, 81, 2))
    assert read(tmp_path, mooncake())[0].arrival_s.tolist() == requests.arrival_s.tolist()
    assert read(tmp_path, mooncake(), seed=1)[0].arrival_s.tolist() != requests.arrival_s.tolist()


@pytest.mark.parametrize(
    ("row", "count", "said"),
    [
        ("2023-11-16 18:17:00,-5,10", "too_short", "1 row with a length below 1 left out"),
        ("2023-11-16 18:17:00,5,0", "too_short", "1 row with a length below 1 left out"),
        ("2023-11-16 18:17:00,nan,10", "no_number", "1 row without a number for time or length left out"),
        ("2023-11-16 18:17:00,5,many", "no_number", "1 row without a number for time or length left out"),
        ("2023-11-16 18:17:00,5,2.5", "no_number", "1 row without a number for time or length left out"),
        ("2023-11-16 18:17:00,1e400,2", "no_number", "1 row without a number for time or length left out"),
        ("yesterday,5,10", "no_number", "1 row without a number for time or length left out"),
        ("2023-13-45 99:17:00,5,10", "no_number", "1 row without a number for time or length left out"),
        ("2023-11-16 18:17:00,5", "unreadable", "1 row that could not be read left out"),
        ("2023-11-16 18:17:00,1e9,10", "too_long", "1 row with more tokens than a request may have left out"),
        ("2023-11-16 18:16:00,5,10", "out_of_order", "1 row earlier than the one before: sorted by time"),
        ("2023-11-16 18:17:00,1000000,10", "unusual", "1 row longer than 100 times the median prompt: kept"),
    ],
)  # fmt: skip
def test_damaged_rows_are_counted(tmp_path, row, count, said):
    requests, repairs = read(tmp_path, AZURE + row + "\n")
    assert repairs.rows == 4 and getattr(repairs, count) == 1 and list(repairs.sentences()) == [said]
    assert len(requests) + repairs.left_out == 4
    assert (np.diff(requests.arrival_s) >= 0).all() and np.isfinite(requests.arrival_s).all()


def test_a_context_leaves_longer_requests_out(tmp_path):
    requests, repairs = read(tmp_path, AZURE, most_tokens=500)
    assert len(requests) == 1 and repairs.too_long == 2


def test_damaged_json_lines_are_counted(tmp_path):
    bad = '{"timestamp": 1, "input_le\n[1, 2]\n{"timestamp": "now", "input_length": 5}\n' + "[" * 5000 + "\n"
    requests, repairs = read(tmp_path, mooncake() + bad)
    assert len(requests) == 40 and repairs.unreadable == 4 and repairs.rows == 44


def test_blocks_beyond_the_prompt_are_cut(tmp_path):
    row = {"timestamp": 0, "input_length": 600, "output_length": 5, "hash_ids": [1, 2, 3, 4]}
    requests, repairs = read(tmp_path, json.dumps(row))
    assert requests.blocks.tolist() == [1, 2] and repairs.blocks_cut == 1


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "the file is empty"),
        ("\n\n", "the file is empty"),
        (b"\x7fELF\0\0\0", "as text"),
        (bytes(range(128, 256)), "as text"),
        ("TIMESTAMP,ContextTokens\n2023-11-16 18:15:46,374\n", "columns of a known format"),
        ("TIMESTAMP,ContextTokens,GeneratedTokens\n", "at least one request"),
        ("TIMESTAMP,ContextTokens,GeneratedTokens\n,,\nnan,nan,nan\n", "at least one request"),
        ('{"timestamp": 0}\n', "columns of a known format"),
        ("{'single': 1}\n", "one object a line"),
        ("[" * 100_000, "columns of a known format"),
        ("{" * 100_000, "one object a line"),
        (b"\x1f\x8bnot gzip", "cannot be read"),
    ],
)
def test_what_is_no_trace_is_one_line(tmp_path, text, told):
    with pytest.raises(InputError) as error:
        read(tmp_path, text)
    assert told in str(error.value) and "\n" not in str(error.value) and len(str(error.value)) <= 400


def test_what_is_no_file_is_one_line(tmp_path):
    for path in (tmp_path / "none", tmp_path, tmp_path / "\0"):
        with pytest.raises(InputError, match="cannot be read"):
            read_requests(path)
