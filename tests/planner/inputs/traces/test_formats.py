"""The formats beside Azure's and Mooncake's, each from a few lines of its kind."""

from __future__ import annotations

import json

import numpy as np
import pytest

from planner.errors import InputError
from planner.inputs.reuse import reuse
from planner.inputs.traces import read_requests
from planner.inputs.traces.window import Window

pytest.importorskip("pyarrow")


def read(tmp_path, text, **how):
    path = tmp_path / "trace"
    path.write_text(text)
    return read_requests(path, **how)


def test_burstgpt(tmp_path):
    requests, repairs = read(
        tmp_path,
        "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
        "5,ChatGPT,472,18,490,Conversation log\n"
        "45,ChatGPT,1087,230,1317,Conversation log\n"
        "118,GPT-4,417,0,417,API log\n",
    )
    assert repairs.format == "BurstGPT CSV" and repairs.too_short == 1  # a request that failed
    assert requests.arrival_s.tolist() == [0, 40] and requests.isl.tolist() == [472, 1087]


def test_burstgpt_with_conversations(tmp_path):
    requests, _ = read(
        tmp_path,
        "Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
        "5,a,3,ChatGPT,472,18,490,Conversation log\n"
        "6,,3,ChatGPT,10,20,30,API log\n"
        "45,a,9,ChatGPT,1087,230,1317,Conversation log\n",
    )
    assert requests.session.tolist() == [0, -1, 0]


def test_qwen(tmp_path):
    rows = [
        {"chat_id": 7, "parent_chat_id": -1, "timestamp": 1.5, "input_length": 40, "output_length": 3,
         "type": "text", "turn": 1, "hash_ids": [1, 2, 3]},
        {"chat_id": 8, "parent_chat_id": -1, "timestamp": 2.0, "input_length": 10, "output_length": 3,
         "type": "text", "turn": 1, "hash_ids": [9]},
        {"chat_id": 9, "parent_chat_id": 7, "timestamp": 9.5, "input_length": 60, "output_length": 3,
         "type": "text", "turn": 2, "hash_ids": [1, 2, 4, 5]},
    ]  # fmt: skip
    requests, repairs = read(tmp_path, "\n".join(map(json.dumps, rows)))
    assert repairs.format == "Qwen-Bailian JSONL" and requests.block_tokens == 16
    assert requests.arrival_s.tolist() == [0, 0.5, 8.0] and requests.session.tolist() == [0, 1, 0]
    assert reuse(requests).found_tokens(1e6).tolist() == [0, 0, 32]


TABLE = """time_s,input_tokens,output_tokens,session,blocks,remark
0,100,5,anna,1 2,"a, b"
1.5,40,5,,3,
2,180,5,anna,1 2 4,
3,200,5,,no blocks,
"""


def test_a_table(tmp_path):
    requests, repairs = read(tmp_path, TABLE)
    assert repairs.format == "table" and repairs.blocks_unread == 1
    assert requests.session.tolist() == [0, -1, 0, -1] and requests.block_tokens == 64  # as they fit
    assert requests.block_start.tolist() == [0, 2, 3, 6, 6] and requests.blocks.tolist() == [1, 2, 3, 1, 2, 4]


def test_a_table_in_json(tmp_path):
    rows = [
        {"time": "2026-01-01T00:00:00Z", "prompt_tokens": 100, "completion_tokens": 5, "session": "anna",
         "blocks": [1, 2], "block_tokens": 50},
        {"time": "2026-01-01T00:00:02.5Z", "prompt_tokens": 30, "completion_tokens": 5, "session": "bert",
         "blocks": [], "block_tokens": 50},
    ]  # fmt: skip
    requests, repairs = read(tmp_path, "\n".join(map(json.dumps, rows)))
    assert repairs.format == "table" and requests.block_tokens == 50
    assert requests.arrival_s.tolist() == [0, 2.5] and requests.session.tolist() == [0, 1]
    assert requests.block_start.tolist() == [0, 2, 2]


def test_milliseconds_and_names_of_others(tmp_path):
    requests, _ = read(tmp_path, "arrival_ms,ISL,OSL\n1500,7,2\n500,8,3\n")
    assert requests.arrival_s.tolist() == [0, 1.0] and requests.isl.tolist() == [8, 7]


AGENTS = """session,depth,t_s,isl,osl,hit_blocks64,api_s,think_s
0001,0,0,64000,169,0,7.34,0.0
0001,1,5,6400,10,0,1,0
0001,0,19,66000,296,1000,9.19,12.0
0002,0,0,64000,169,0,7.34,0.0
0001,0,40,10000,296,8,9.19,12.0
"""


def test_agents_find_what_their_session_has_sent(tmp_path):
    requests, repairs = read(tmp_path, AGENTS)
    assert "2 sessions begin at times drawn over 6 h" in " ".join(repairs.sentences())
    assert not repairs.out_of_order
    one = requests.session == 0
    assert np.diff(requests.arrival_s[one]).tolist() == pytest.approx([5, 14, 21])
    assert reuse(requests).found_tokens(1e9)[one].tolist() == [0, 0, 64_000, 512]
    assert reuse(requests).found_tokens(1e9)[~one].tolist() == [0]  # another session shares nothing


RATES = "category,model,client,window_start_s,req_per_s,cv_interarrival,family,p1,p2\n" + "".join(
    f"language,m,{client},{600 * window},{rate * (window + 1)},{cv},Gamma,1,1\n"
    for window in range(3)
    for client, rate, cv in (("a", 2, 1), ("b", 4, 5), ("rest", 1, ""))
)
LENGTHS = "model,window_start_s,field,mean,cv,q1,q50,q99\n" + "".join(
    f"m,{window},{field},1,1,{low},{low * 10},{low * 100}\n"
    for window in (0, "day")
    for field, low in (("input_tokens", 10), ("output_tokens", 3))
)


def drawn(tmp_path, lengths=LENGTHS, rates=RATES, **how):
    path = tmp_path / "lengths.csv"
    path.write_text(lengths)
    return read(tmp_path, rates, lengths=path, **how)


def test_rates_of_clients_are_drawn(tmp_path):
    requests, repairs = drawn(tmp_path)
    assert list(repairs.sentences()) == [f"{len(requests):,} requests drawn from the rates of 3 clients of m"]
    per_window = np.histogram(requests.arrival_s, bins=[0, 600, 1200, 1800])[0]
    assert per_window == pytest.approx([7 * 600, 14 * 600, 21 * 600], rel=0.2)
    assert np.median(requests.isl) == pytest.approx(100, rel=0.1) and requests.isl.max() <= 1000
    assert np.median(requests.osl) == pytest.approx(30, rel=0.1)
    again = drawn(tmp_path)[0]
    assert np.array_equal(again.arrival_s, requests.arrival_s)


def test_a_part_of_the_rates(tmp_path):
    requests, _ = drawn(tmp_path, window=Window(from_s=1200, for_s=300))
    assert requests.seconds < 300 and len(requests) == pytest.approx(21 * 300, rel=0.25)


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"model": "n"}, "known: m"),
        ({"rates": RATES + "language,n,a,0,1,1,Gamma,1,1\n"}, "of one model: .* --model"),
        ({"lengths": ""}, "`ratematch trace FILE --lengths LENGTHS"),
        ({"lengths": "isl,osl\n1,2\n"}, "quantiles"),
        ({"lengths": LENGTHS.replace("m,", "n,")}, "rows of m"),
        ({"window": Window(from_s=1e6)}, "--from TIME --for TIME"),
        ({"rates": RATES.replace("b,0,4,", "b,0,1e9,")}, "--from TIME --for TIME"),
    ],
)
def test_rates_that_do_not_say_enough_are_one_line(tmp_path, how, told):
    with pytest.raises(InputError, match=told):
        drawn(tmp_path, **how)
