"""textual-serve with a guard in front: who may come in, from where, and how many."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shlex
import signal
from asyncio.subprocess import Process
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import quote, urlsplit

import click
import textual_serve.server
from aiohttp import web
from textual_serve.app_service import AppService
from textual_serve.server import Server

from cohete.errors import CoheteError
from cohete_tui.serve import is_loopback

COOKIE = "cohete_token"
STOP_S = 5.0
"""How long a dashboard may take to quit."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class BoundedService(AppService):
    """One dashboard; it ends with its page, also where it hangs."""

    stop_s = STOP_S

    async def _open_app_process(self, width: int = 80, height: int = 24) -> Process:
        process = await asyncio.create_subprocess_exec(
            *shlex.split(self.command),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self._build_environment(width=width, height=height),
            start_new_session=True,
        )
        self._process, self._stdin = process, process.stdin
        return process

    async def stop(self) -> None:
        """Ask it to quit; what does not within a few seconds is killed."""
        if self._task is None:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.stop_s):
                await super().stop()
        self._task = None
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            await self._process.wait()


setattr(textual_serve.server, "AppService", BoundedService)  # noqa: B010 - not a public name


class DashboardServer(Server):
    """One dashboard for each page that is opened."""

    def __init__(
        self, command: str, host: str, port: int, *, token: str | None, url: str | None, most: int
    ) -> None:
        super().__init__(command, host, port, "Cohete", url, templates_path=Path(__file__).parent)
        self._token = token
        self._cookie = f"{COOKIE}_{port}"
        self._most = most
        self._open = 0

    async def run(self) -> None:
        """Serve until SIGINT or SIGTERM; every dashboard ends with it. Raises CoheteError."""
        app = await self._make_app()
        app.middlewares.append(self._guard)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=STOP_S + 2)
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
            query = f"/?token={quote(self._token, safe='')}" if self._token else "/"
            click.echo(f"The dashboard is at {self.public_url}{query}  (ctrl+c ends it)")
            await stop.wait()
        finally:
            await runner.cleanup()

    async def on_startup(self, app: web.Application) -> None:
        """textual-serve would print its banner here."""

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if not self._is_ours(request.headers.get("Host", "").lower()):
            # Another name for this address: a page elsewhere that was pointed here.
            return web.Response(status=403, text="This is not the address it is served at.\n")
        origin = request.headers.get("Origin")
        if origin is not None and not self._is_ours(_netloc(origin)):
            return web.Response(status=403, text="Another site may not use it.\n")
        if self._token is not None:
            given = request.query.get("token", "")
            if given and _same(given, self._token):
                # Out of the address bar at once, where it would stay in the history.
                answer = web.HTTPSeeOther("/")
                answer.set_cookie(
                    self._cookie, self._token, httponly=True, samesite="Lax",
                    secure=self.public_url.startswith("https"),
                )  # fmt: skip
                return answer
            if not _same(request.cookies.get(self._cookie, ""), self._token):
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
        ours = {_netloc(self.public_url)}
        if is_loopback(self.host):
            ours |= {f"{name}:{self.port}" for name in ("127.0.0.1", "localhost", "[::1]")}
        return netloc in ours


def _netloc(url: str) -> str:
    """Host and port of an address, as a browser sends them; empty for what is no address."""
    try:
        parts = urlsplit(url)
        usual = {"http": ":80", "https": ":443"}.get(parts.scheme, "")
        return parts.netloc.lower().removesuffix(usual) if usual else ""
    except ValueError:
        return ""


def _same(one: str, other: str) -> bool:
    return secrets.compare_digest(one.encode("utf-8", "replace"), other.encode("utf-8", "replace"))
