"""A router for vLLM and TensorRT-LLM instances: one address for all of them.

    python3 router.py router.json --port 8000

With prefill and decode instances each request goes to a prefill instance for its first token and then, with
what that says of the cache, to a decode instance, whose answer is the client's. An instance that is next in
turn gets the request. Where prefill instances push the cache ("push" in the file), decode is told where from
and asked at the same time. With "serve" instances a request goes to one of them as it is. With "encode"
instances each image of a chat goes to one of them first, alone: who computes the prompt finds what it made.

Needs aiohttp, which vLLM and TensorRT-LLM bring along.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import pathlib
import uuid
from typing import Any

import aiohttp
from aiohttp import web

PATHS = ("/v1/completions", "/v1/chat/completions")
ASKS_FOR_CACHE = {"do_remote_decode": True, "do_remote_prefill": False}
ONCE = ("stream", "stream_options", "min_tokens", "min_completion_tokens", "max_completion_tokens")


class Router:
    """Instances by what they do, and whose turn it is."""

    def __init__(self, instances: dict[str, list[dict[str, Any]]]) -> None:
        self.turns = {phase: itertools.cycle(found) for phase, found in instances.items() if found}
        self.first = next(found[0] for found in instances.values() if found)
        self.session: aiohttp.ClientSession | None = None

    async def start(self, app: web.Application) -> Any:
        """Opens connections for as long as the application runs."""
        limits = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(
            connector=limits, timeout=aiohttp.ClientTimeout(total=None)
        ) as session:
            self.session = session
            yield

    async def health(self, request: web.Request) -> web.Response:
        """Answers that the router runs."""
        return web.Response(text="ok")

    async def models(self, request: web.Request) -> web.StreamResponse:
        """The list of models of the first instance."""
        assert self.session is not None
        async with self.session.get(f"{self.first['url']}{request.path}") as answer:
            return web.Response(
                body=await answer.read(), status=answer.status, content_type="application/json"
            )

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """One request, from its prompt to its last token."""
        asked = await request.json()
        headers = {"X-Request-Id": request.headers.get("X-Request-Id") or str(uuid.uuid4())}
        if "Authorization" in request.headers:
            headers["Authorization"] = request.headers["Authorization"]
        if "encode" in self.turns:
            try:
                await self.encoded(request.path, asked, headers)
            except aiohttp.ClientResponseError as error:
                return web.json_response({"error": f"encoder: {error.message}"}, status=error.status)
            except aiohttp.ClientError as error:
                return web.json_response({"error": f"encoder: {error}"}, status=502)
        if "serve" in self.turns:
            return await self.passed_on(request, next(self.turns["serve"])["url"], asked, headers)
        first, then = next(self.turns["prefill"]), next(self.turns["decode"])
        prompt = {key: value for key, value in asked.items() if key not in ONCE}
        prompt |= {"max_tokens": 1, "stream": False, "kv_transfer_params": dict(ASKS_FOR_CACHE)}
        if "push" in first:
            moved = {"do_remote_prefill": True, "do_remote_decode": False, **first["push"]}
            moved["remote_request_id"] = headers["X-Request-Id"]
            prefill = asyncio.ensure_future(self.prefilled(request.path, first["url"], prompt, headers))
            try:
                return await self.passed_on(
                    request, then["url"], {**asked, "kv_transfer_params": moved}, headers
                )
            finally:
                with contextlib.suppress(aiohttp.ClientError):
                    await prefill
        try:
            moved = await self.prefilled(request.path, first["url"], prompt, headers)
        except aiohttp.ClientResponseError as error:
            return web.json_response({"error": f"{first['name']}: {error.message}"}, status=error.status)
        except aiohttp.ClientError as error:
            return web.json_response({"error": f"{first['name']}: {error}"}, status=502)
        return await self.passed_on(request, then["url"], {**asked, "kv_transfer_params": moved}, headers)

    async def encoded(self, path: str, asked: dict[str, Any], headers: dict[str, str]) -> None:
        """Every image, each by an encoder of its own turn, all at a time."""
        await asyncio.gather(
            *(
                self.prefilled(path, next(self.turns["encode"])["url"], alone(asked, image), headers)
                for image in images(asked)
            )
        )

    async def prefilled(self, path: str, url: str, prompt: dict[str, Any], headers: dict[str, str]) -> Any:
        """What an instance says of the cache of a prompt; of an encoder nothing but that it is done."""
        assert self.session is not None
        async with self.session.post(f"{url}{path}", json=prompt, headers=headers) as answer:
            if answer.status >= 400:
                raise aiohttp.ClientResponseError(
                    answer.request_info, (), status=answer.status, message=(await answer.text())[:500]
                )
            return (await answer.json()).get("kv_transfer_params") or {}

    async def passed_on(
        self, request: web.Request, url: str, asked: dict[str, Any], headers: dict[str, str]
    ) -> web.StreamResponse:
        """The answer of an instance, byte by byte as it comes."""
        assert self.session is not None
        try:
            async with self.session.post(f"{url}{request.path}", json=asked, headers=headers) as answer:
                sent = web.StreamResponse(status=answer.status)
                sent.content_type = answer.content_type
                await sent.prepare(request)
                async for part in answer.content.iter_any():
                    await sent.write(part)
                await sent.write_eof()
                return sent
        except aiohttp.ClientConnectorError as error:
            return web.json_response({"error": str(error)}, status=502)


def images(asked: dict[str, Any]) -> list[dict[str, Any]]:
    """The images of a chat, as its messages have them."""
    contents = [
        message.get("content") for message in asked.get("messages") or [] if isinstance(message, dict)
    ]
    parts = [part for content in contents if isinstance(content, list) for part in content]
    return [part for part in parts if isinstance(part, dict) and part.get("type") == "image_url"]


def alone(asked: dict[str, Any], image: dict[str, Any]) -> dict[str, Any]:
    """A request for one image, without a word of the text."""
    kept = ("model", "mm_processor_kwargs")
    found: dict[str, Any] = {key: asked[key] for key in kept if key in asked}
    messages = [{"role": "user", "content": [image]}]
    return {**found, "messages": messages, "max_tokens": 1, "temperature": 0.0, "stream": False}


def application(instances: dict[str, list[dict[str, Any]]]) -> web.Application:
    """The router as an application of aiohttp."""
    router, app = Router(instances), web.Application(client_max_size=1 << 30)
    app.cleanup_ctx.append(router.start)
    app.router.add_get("/health", router.health)
    app.router.add_get("/v1/models", router.models)
    for path in PATHS:
        app.router.add_post(path, router.serve)
    return app


def main() -> None:
    """Serves until it is ended."""
    parser = argparse.ArgumentParser(description="One address for the instances in a file.")
    parser.add_argument("file", type=pathlib.Path)
    parser.add_argument("--host", default="0.0.0.0")
    parser.add_argument("--port", type=int, default=8000)
    args = parser.parse_args()
    web.run_app(application(json.loads(args.file.read_text())), host=args.host, port=args.port, print=None)


if __name__ == "__main__":
    main()
