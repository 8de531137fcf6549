"""Workers: as many processes as there are cores to use, fed one piece at a time.

Processes, because numpy's many short calls leave Python's lock no time to be shared. One of them is
this one, which works while the others are still starting.
"""

from __future__ import annotations

import contextlib
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # What they import takes as long as a worker takes to start: that goes on at the same time.
    from cohete.quantize.worker import Answer, Job

_WAIT_S = 0.2
"""How soon a cancel is seen while there is nothing to do but wait."""


class WorkerDied(OSError):
    """A worker ended by itself: killed, most likely for want of memory."""


class Cancelled(Exception):
    """Somebody wanted no more of it."""


class Pool:
    """`with Pool(2, cancel) as pool: for answer in pool.run(jobs): ...`, in any order."""

    def __init__(self, workers: int, cancel: threading.Event) -> None:
        self.workers = workers
        self._cancel = cancel
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Pool:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Let the workers begin to start, where they did not yet."""
        if self._processes:
            return
        # Without -P a file in the current folder could stand for a module of ours.
        argv = [sys.executable, "-P", "-m", "cohete.quantize.worker"]
        for _ in range(1, self.workers):
            # A group of its own: what is typed at the terminal ends who began it, and that
            # ends the worker, which may still be starting.
            self._processes.append(
                subprocess.Popen(
                    argv,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    process_group=0 if os.name == "posix" else None,
                )
            )

    def close(self) -> None:
        """Until every worker has ended; each finishes what it is at."""
        for process in self._processes:
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    # One that died cannot be written to any more.
                    with contextlib.suppress(OSError):
                        pipe.close()
        for process in self._processes:
            process.wait()

    def run(self, jobs: Iterable[Job]) -> Iterator[Answer]:
        """What came of each job. Raises Cancelled, WorkerDied, what a job raises."""
        todo: queue.SimpleQueue[Job] = queue.SimpleQueue()
        answers: queue.SimpleQueue[Answer | Exception] = queue.SimpleQueue()
        left = 0
        for job in jobs:
            todo.put(job)
            left += 1
        stop = threading.Event()
        threads = [
            threading.Thread(target=_feed, args=(process, todo, answers, stop), daemon=True)
            for process in self._processes
        ]
        for thread in threads:
            thread.start()
        try:
            while left:
                self._stop_if_cancelled()
                answer = self._next(todo, answers)
                if isinstance(answer, Exception):
                    raise answer
                if answer is not None:
                    yield answer
                    left -= 1
        finally:
            stop.set()
            for thread in threads:
                thread.join()

    @staticmethod
    def _next(
        todo: queue.SimpleQueue[Job], answers: queue.SimpleQueue[Answer | Exception]
    ) -> Answer | Exception | None:
        """What another has made; else what this process makes of a job; else what comes soon."""
        from cohete.quantize.worker import carry_out

        with contextlib.suppress(queue.Empty):
            return answers.get_nowait()
        with contextlib.suppress(queue.Empty):
            return carry_out(todo.get_nowait())
        with contextlib.suppress(queue.Empty):
            return answers.get(timeout=_WAIT_S)
        return None

    def _stop_if_cancelled(self) -> None:
        if self._cancel.is_set():
            raise Cancelled


def _feed(
    process: subprocess.Popen[bytes],
    todo: queue.SimpleQueue[Job],
    answers: queue.SimpleQueue[Answer | Exception],
    stop: threading.Event,
) -> None:
    """One worker's turn: a job, its answer, the next job."""
    from cohete.quantize.worker import answer_of, job_line

    assert process.stdin is not None
    assert process.stdout is not None
    while not stop.is_set():
        try:
            job = todo.get_nowait()
        except queue.Empty:
            return
        try:
            process.stdin.write(job_line(job))
            process.stdin.flush()
            line = process.stdout.readline()
            died = WorkerDied(0, "a worker process ended by itself")
            answers.put(answer_of(line) if line.endswith(b"\n") else died)
        except Exception as error:  # noqa: BLE001 - told to who waits for the answer
            answers.put(error)
