"""The router that an export carries: its two ways from prefill to decode, and plain serving."""

from __future__ import annotations

import pytest

pytest.importorskip("aiohttp")
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from planner.output.deploy.scripts import router


async def instance(name, seen, status=200):
    """An engine that notes what it is asked and answers as one does."""

    async def complete(request):
        asked = await request.json()
        seen.append((name, asked, request.headers.get("X-Request-Id")))
        if status != 200:
            return web.json_response({"error": "full"}, status=status)
        if asked.get("stream"):
            answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await answer.prepare(request)
            for part in (b"data: a\n\n", b"data: [DONE]\n\n"):
                await answer.write(part)
            return answer
        return web.json_response({"from": name, "kv_transfer_params": {"remote_block_ids": [name]}})

    app = web.Application()
    app.router.add_post("/v1/completions", complete)
    server = TestServer(app)
    await server.start_server()
    return server


async def ask(instances, times=1, **body):
    """(status, text) of requests through a router before the instances."""
    served = TestServer(router.application(instances))
    await served.start_server()
    found = []
    try:
        async with ClientSession() as session:
            async with session.get(served.make_url("/health")) as answer:
                assert answer.status == 200
            for _ in range(times):
                url = served.make_url("/v1/completions")
                async with session.post(url, json={"prompt": "x", "max_tokens": 9, **body}) as answer:
                    found.append((answer.status, await answer.text()))
    finally:
        await served.close()
    return found


def at(server, name, **more):
    return {"name": name, "url": str(server.make_url("")).rstrip("/"), **more}


async def test_a_prompt_goes_to_prefill_and_what_that_says_to_decode():
    seen = []
    first, then = await instance("p", seen), await instance("d", seen)
    told = await ask({"prefill": [at(first, "p")], "decode": [at(then, "d")]}, stream=True)
    assert told == [(200, "data: a\n\ndata: [DONE]\n\n")]
    (_, prompt, one), (_, rest, two) = seen
    assert prompt["max_tokens"] == 1 and prompt["stream"] is False
    assert prompt["kv_transfer_params"]["do_remote_decode"] is True
    assert rest["max_tokens"] == 9 and rest["stream"] is True
    assert rest["kv_transfer_params"] == {"remote_block_ids": ["p"]} and one == two
    await first.close()
    await then.close()


async def test_where_prefill_pushes_decode_is_told_from_where():
    seen = []
    first, then = await instance("p", seen), await instance("d", seen)
    push = {
        "remote_engine_id": "prefill-0",
        "remote_host": "h",
        "remote_port": 30000,
        "tp_size": 1,
        "pp_size": 4,
    }
    told = await ask({"prefill": [at(first, "p", push=push)], "decode": [at(then, "d")]})
    assert told[0][0] == 200
    asked = {name: body for name, body, _ in seen}
    moved = asked["d"]["kv_transfer_params"]
    assert push.items() <= moved.items() and moved["do_remote_prefill"] is True
    assert moved["remote_request_id"] == seen[0][2] == seen[1][2]
    await first.close()
    await then.close()


async def test_instances_take_turns_and_a_refusal_is_passed_on():
    seen = []
    servers = [await instance(name, seen) for name in ("a", "b")]
    await ask({"serve": [at(server, str(i)) for i, server in enumerate(servers)]}, times=4)
    assert [name for name, _, _ in seen] == ["a", "b", "a", "b"]
    full = await instance("p", seen, status=429)
    told = await ask({"prefill": [at(full, "p")], "decode": [at(servers[0], "d")]})
    assert told[0][0] == 429 and "full" in told[0][1]
    gone = {"name": "gone", "url": "http://127.0.0.1:9"}
    told = await ask({"prefill": [gone], "decode": [at(servers[0], "d")]})
    assert told[0][0] == 502
    for server in (*servers, full):
        await server.close()


async def test_images_go_to_encoders_alone_and_before_their_prompt():
    seen = []
    servers = [await instance(name, seen) for name in ("e", "f", "p", "d")]
    encode = [at(server, name) for server, name in zip(servers[:2], "ef", strict=True)]
    instances = {"encode": encode, "prefill": [at(servers[2], "p")], "decode": [at(servers[3], "d")]}
    image = {"type": "image_url", "image_url": {"url": "data:,1"}}
    other = {"type": "image_url", "image_url": {"url": "data:,2"}}
    words = {"type": "text", "text": "what is this?"}
    told = await ask(instances, model="m", messages=[{"role": "user", "content": [image, words, other]}])
    assert told[0][0] == 200
    assert {name for name, _, _ in seen[:2]} == {"e", "f"} and [name for name, _, _ in seen[2:]] == ["p", "d"]
    for _, asked, _ in seen[:2]:
        (message,) = asked["messages"]
        assert len(message["content"]) == 1 and message["content"][0] in (image, other)
        assert asked["max_tokens"] == 1 and asked["model"] == "m" and "prompt" not in asked
    assert [message["content"][0] for _, asked, _ in seen[:2] for message in asked["messages"]] != [image] * 2
    seen.clear()
    await ask(instances, messages=[{"role": "user", "content": "text"}])
    assert [name for name, _, _ in seen] == ["p", "d"]  # nothing to encode
    for server in servers:
        await server.close()


async def test_what_an_encoder_refuses_is_passed_on():
    seen = []
    full, serve = await instance("e", seen, status=503), await instance("s", seen)
    image = {"type": "image_url", "image_url": {"url": "data:,1"}}
    told = await ask(
        {"encode": [at(full, "e")], "serve": [at(serve, "s")]},
        messages=[{"role": "user", "content": [image]}],
    )
    assert told[0][0] == 503 and "encoder" in told[0][1] and len(seen) == 1
    await full.close()
    await serve.close()
