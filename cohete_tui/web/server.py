"""textual-serve with a guard in front: who may come in, from where, and how many."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit

import click
from aiohttp import web
from textual_serve.server import Server

from cohete.errors import CoheteError
from cohete_tui.serve import is_loopback

COOKIE = "cohete_token"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class DashboardServer(Server):
    """One dashboard for each page that is opened."""

    def __init__(
        self, command: str, host: str, port: int, *, token: str | None, url: str | None, most: int
    ) -> None:
        super().__init__(command, host, port, "Cohete", url, templates_path=Path(__file__).parent)
        self._token = token
        self._most = most
        self._open = 0

    async def run(self) -> None:
        """Serve until SIGINT or SIGTERM; every dashboard ends with it. Raises CoheteError."""
        app = await self._make_app()
        app.middlewares.append(self._guard)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=3)
        await runner.setup()
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            with contextlib.suppress(NotImplementedError):
                asyncio.get_running_loop().add_signal_handler(number, stop.set)
        try:
            try:
                await web.TCPSite(runner, self.host, self.port).start()
            except OSError as error:
                reason = (error.strerror or "unknown reason").lower()
                raise CoheteError(
                    f"cannot listen there: {reason}", where=f"{self.host}:{self.port}",
                    hint="Another port: --port.",
                ) from None  # fmt: skip
            query = f"/?token={self._token}" if self._token else "/"
            click.echo(f"The dashboard is at {self.public_url}{query}  (ctrl+c ends it)")
            await stop.wait()
        finally:
            await runner.cleanup()

    async def on_startup(self, app: web.Application) -> None:
        """textual-serve would print its banner here."""

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if not self._is_ours(request.headers.get("Host", "")):
            # Another name for this address: a page elsewhere that was pointed here.
            return web.Response(status=403, text="This is not the address it is served at.\n")
        origin = request.headers.get("Origin")
        if origin is not None and not self._is_ours(urlsplit(origin).netloc):
            return web.Response(status=403, text="Another site may not use it.\n")
        if self._token is not None:
            given = request.query.get("token", "")
            if given and secrets.compare_digest(given.encode(), self._token.encode()):
                # Out of the address bar at once, where it would stay in the history.
                answer = web.HTTPSeeOther("/")
                answer.set_cookie(
                    COOKIE, self._token, httponly=True, samesite="Strict",
                    secure=self.public_url.startswith("https"),
                )  # fmt: skip
                return answer
            kept = request.cookies.get(COOKIE, "")
            if not secrets.compare_digest(kept.encode(), self._token.encode()):
                return web.Response(
                    status=401, text="Open the address with its token, as the server printed it.\n"
                )
        if request.path == "/ws":
            return await self._counted(request, handler)
        return await handler(request)

    async def _counted(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if self._open >= self._most:
            return web.Response(status=503, text="As many dashboards as allowed are open.\n")
        self._open += 1
        try:
            return await handler(request)
        finally:
            self._open -= 1

    def _is_ours(self, netloc: str) -> bool:
        """Whether this is the host and port that the server is reached at."""
        ours = {urlsplit(self.public_url).netloc}
        if is_loopback(self.host):
            ours |= {f"{name}:{self.port}" for name in ("127.0.0.1", "localhost", "[::1]")}
        return netloc in ours
