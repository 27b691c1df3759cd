"""A small web server on the loopback interface that serves what a test says."""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Server:
    """Serves octets, or what a handler answers, by path."""

    def __init__(self) -> None:
        self.content: dict[str, bytes | Handler] = {}
        #: What was asked for, and how often.
        self.asked: Counter[str] = Counter()
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self.port = 0

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        """Return the address of a path."""
        return f"http://{host}:{self.port}{path}"

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer a request."""
        self.asked[request.path] += 1
        self.headers.append(dict(request.headers))
        self.bodies.append(await request.read())
        found = self.content.get(request.path)
        if found is None:
            raise web.HTTPNotFound
        return web.Response(body=found) if isinstance(found, bytes) else await found(request)


@asynccontextmanager
async def served() -> AsyncIterator[Server]:
    """Run a server."""
    server = Server()
    runner = web.ServerRunner(web.Server(server.answer), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.port = runner.addresses[0][1]
    try:
        yield server
    finally:
        await runner.cleanup()
