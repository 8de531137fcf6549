"""Alerts out of the house: to a program of the user's, and to an address. Only where named."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from cohete.config.alerts import Alerts
from cohete.fleet.alerts import Notice
from cohete.text import sanitise
from cohete.threads import to_its_end

LIMIT_S = 10.0
MAX_WAITING = 100
"""Notices that wait for a slow receiver; beyond that the oldest are dropped, and counted."""


def as_document(notice: Notice, fleet: str, now_wall_s: float) -> dict[str, object]:
    """What a receiver gets."""
    alert = notice.alert
    return {
        "at": datetime.fromtimestamp(now_wall_s, UTC).isoformat(timespec="seconds"),
        "fleet": fleet,
        "device": alert.device,
        "rule": alert.rule.name,
        "when": alert.rule.query.text,
        "level": alert.rule.level,
        "state": "over" if notice.over else "firing",
    }


class Notifier:
    """Delivers documents one after the other; what goes wrong is kept in `problem`."""

    def __init__(self, settings: Alerts) -> None:
        self._settings = settings
        self._waiting: asyncio.Queue[Mapping[str, object]] = asyncio.Queue(MAX_WAITING)
        self.problem = ""
        self.dropped = 0

    @property
    def is_wanted(self) -> bool:
        """Whether anybody is named."""
        return bool(self._settings.command or self._settings.webhook)

    def put(self, document: Mapping[str, object]) -> None:
        """Take one to deliver; returns at once."""
        if self._waiting.full():
            self._waiting.get_nowait()
            self.dropped += 1
        self._waiting.put_nowait(document)

    async def run(self) -> None:
        """Deliver until cancelled."""
        while True:
            await self.deliver(await self._waiting.get())

    async def deliver(self, document: Mapping[str, object]) -> None:
        """One document to everybody who is named. Never raises."""
        problems = []
        data = json.dumps(document).encode()
        if self._settings.command:
            problems.append(await _to_command(self._settings.command, data))
        if self._settings.webhook:
            problems.append(await asyncio.to_thread(_to_webhook, self._settings.webhook, data))
        self.problem = "; ".join(problem for problem in problems if problem)


async def _to_command(argv: Sequence[str], data: bytes) -> str:
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError as error:
        return f"{sanitise(argv[0], 80)} cannot be run: {error.strerror}"
    try:
        async with asyncio.timeout(LIMIT_S):
            await process.communicate(data)
    except TimeoutError:
        return f"{sanitise(argv[0], 80)} did not end within {LIMIT_S:g} s"
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await to_its_end(process.wait())
    if process.returncode:
        return f"{sanitise(argv[0], 80)} ended with status {process.returncode}"
    return ""


def _to_webhook(address: str, data: bytes) -> str:
    request = urllib.request.Request(  # noqa: S310 - the schema allows http and https only
        address, data, {"Content-Type": "application/json", "User-Agent": "cohete"}, method="POST"
    )
    try:
        with urllib.request.urlopen(request, timeout=LIMIT_S):  # noqa: S310
            return ""
    except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError) as error:
        # The address may hold a token: it is not repeated.
        reason = getattr(error, "reason", None) or getattr(error, "code", None) or "no answer"
        return f"the webhook failed: {sanitise(str(reason), 120)}"
