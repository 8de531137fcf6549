"""A quantization that runs beside the dashboard: a process of its own, followed and ended."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from cohete.text import decode, sanitise

if TYPE_CHECKING:
    from cohete_tui.wizard import Choice

RUN = ("-P", "-m", "cohete")
"""What Python runs, before the command; -P: nothing from the current folder."""
END_S = 5.0
"""How long a run that is told to end may take to clean up."""
_MESSAGE_LIMIT = 600


class JobState(StrEnum):
    """Where a run is."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Made:
    """What is known of a run from its own words."""

    step: str = ""
    done_bytes: int = 0
    total_bytes: int = 0
    mb_s: float = 0.0
    eta_s: float | None = None
    bound: str = ""

    @property
    def share(self) -> float | None:
        """How far it is, 0 to 1; None before it has said so."""
        return self.done_bytes / self.total_bytes if self.total_bytes else None


class QuantizeJob:
    """One run of `cohete quantize`. The dashboard's loop only reads what it says."""

    def __init__(self, choice: Choice, output: Path) -> None:
        self.choice = choice
        self.argv = choice.argv
        self.output = output
        self.state = JobState.RUNNING
        self.made = Made()
        self.report: dict[str, object] = {}
        self.error = ""
        self.is_news = True
        """Whether somebody should still be told of it."""
        self._is_ending = False
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def made_nothing(self) -> bool:
        """Whether it has ended, and might be tried again."""
        return self.state in (JobState.FAILED, JobState.CANCELLED)

    @property
    def words(self) -> str:
        """In a few words, for a header."""
        if self.state is JobState.RUNNING:
            share = self.made.share
            percent = "" if share is None else f" {100 * share:.0f} %"
            return f"{self.made.step or 'starting'}{percent}"
        return f"quantizing {self.state}"

    def start(self) -> None:
        """Begin; returns at once."""
        self._task = asyncio.create_task(self._run(), name="quantize")

    async def _run(self) -> None:
        argv = [sys.executable, *RUN, *self.argv]
        try:
            process = await asyncio.create_subprocess_exec(
                *argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
        except OSError as error:
            self.state, self.error = JobState.FAILED, error.strerror or str(error)
            return
        self._process = process
        if self._is_ending:
            process.terminate()
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            said, _ = await asyncio.gather(process.stdout.read(), self._follow(process.stderr))
            status = await process.wait()
        except asyncio.CancelledError:
            await self._end(process)
            raise
        if status == 0:
            with contextlib.suppress(ValueError):
                found = json.loads(said)
                if isinstance(found, dict):
                    self.report = found
        ended = JobState.CANCELLED if self._is_ending else JobState.FAILED
        self.state = JobState.DONE if self.report else ended
        if self.state is JobState.FAILED and not self.error:
            self.error = f"it ended with exit status {status}"

    async def _follow(self, stderr: asyncio.StreamReader) -> None:
        """Its progress, and what else it says: that is why it failed."""
        while line := await stderr.readline():
            try:
                found = json.loads(line)
                self.made = Made(**found)
            except (ValueError, TypeError):
                text = sanitise(decode(line).strip().removeprefix("cohete: "), _MESSAGE_LIMIT)
                self.error = f"{self.error} {text}".strip()[:_MESSAGE_LIMIT]

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), END_S)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    def cancel(self) -> None:
        """End it soon; it leaves nothing behind."""
        if self.state is JobState.RUNNING:
            self._is_ending = True
            if self._process is not None:
                with contextlib.suppress(ProcessLookupError):
                    self._process.terminate()

    async def stop(self) -> None:
        """End it now, and wait until it has."""
        self.cancel()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        if self.state is JobState.RUNNING:
            self.state = JobState.CANCELLED
