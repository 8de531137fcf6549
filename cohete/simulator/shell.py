"""Enough of a shell for what a fleet tool sends: lists, pipes, quotes, redirections, sudo."""

from __future__ import annotations

import asyncio
import re
import shlex
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from cohete.simulator.board import SimBoard

_BETWEEN = (";", "&&", "||")
_ENDLESS = re.compile(r"while :; do (.*); done", re.DOTALL)

Write = Callable[[bytes], None]


class Pipe:
    """Bytes from one program to the next; writing after the reader left raises BrokenPipeError."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._closed = False

    def write(self, data: bytes) -> None:
        if self._closed:
            raise BrokenPipeError
        self._queue.put_nowait(data)

    def end(self) -> None:
        self._queue.put_nowait(None)

    def ended(self, _: object) -> None:
        """The same as the callback of a finished task."""
        self.end()

    def close_reader(self) -> None:
        self._closed = True

    async def read_all(self, limit: int | None = None) -> bytes:
        """Everything until the writer ends, or the first `limit` bytes."""
        data = b""
        while (part := await self._queue.get()) is not None:
            data += part
            if limit is not None and len(data) >= limit:
                return data[:limit]
        return data

    async def read_lines(self, count: int) -> bytes:
        """The first `count` lines."""
        data = b""
        while data.count(b"\n") < count and (part := await self._queue.get()) is not None:
            data += part
        return b"".join(data.splitlines(keepends=True)[:count])


@dataclass(slots=True)
class Context:
    """What a program sees: its board, its rights, its three streams."""

    board: SimBoard
    root: bool
    out: Write
    err: Write
    stdin: Pipe
    environment: dict[str, str] = field(default_factory=dict)

    def say(self, text: str) -> None:
        """A line on standard output."""
        self.out(text.encode("utf-8", "surrogateescape") + b"\n")

    def complain(self, text: str) -> None:
        """A line on standard error."""
        self.err(text.encode("utf-8", "surrogateescape") + b"\n")


Program = Callable[[Context, list[str]], Awaitable[int]]


def empty_pipe() -> Pipe:
    """Standard input that is at its end: /dev/null."""
    pipe = Pipe()
    pipe.end()
    return pipe


async def run_line(line: str, context: Context, programs: Mapping[str, Program]) -> int:
    """Run a command line to its end; the exit status is that of its last command."""
    endless = _ENDLESS.fullmatch(line)
    if endless is not None:
        while True:
            await run_line(endless[1], context, programs)
            await asyncio.sleep(0)
    lexer = shlex.shlex(line, posix=True, punctuation_chars=";|&<>")
    lexer.whitespace_split = True
    lexer.commenters = ""
    try:
        words = list(lexer)
    except ValueError as error:
        context.complain(f"sh: {error}")
        return 2
    try:
        return await _list(words, context, programs)
    except _Exit as ended:
        return ended.status


class _Exit(Exception):
    """`exit` ends the shell."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


async def _list(words: list[str], context: Context, programs: Mapping[str, Program]) -> int:
    status = depth = 0
    pipeline: list[str] = []
    run_next = True
    for word in [*words, ";"]:
        if word == "{" and (not pipeline or pipeline[-1] in (*_BETWEEN, "{")):
            depth += 1
        elif word == "}" and depth:
            depth -= 1
        if depth or word not in _BETWEEN:
            pipeline.append(word)
            continue
        if pipeline and run_next:
            if pipeline[0] == "exit":
                raise _Exit(int(pipeline[1]) if "".join(pipeline[1:]).isdigit() else status)
            is_group = pipeline[0] == "{"
            run = _list(pipeline[1:-1], context, programs) if is_group else None
            status = await (run or _pipeline(pipeline, context, programs))
        pipeline = []
        run_next = word == ";" or (word == "&&") == (status == 0)
    return status


async def _pipeline(words: list[str], context: Context, programs: Mapping[str, Program]) -> int:
    commands: list[list[str]] = [[]]
    for word in words:
        if word == "|":
            commands.append([])
        else:
            commands[-1].append(word)
    async with asyncio.TaskGroup() as group:
        stdin = context.stdin
        tasks: list[asyncio.Task[int]] = []
        for nth, command in enumerate(commands):
            last = nth == len(commands) - 1
            pipe = Pipe()
            out = context.out if last else pipe.write
            inner = Context(
                context.board, context.root, out, context.err, stdin, context.environment
            )
            task = group.create_task(_command(command, inner, programs))
            if not last:
                task.add_done_callback(pipe.ended)
            tasks.append(task)
            stdin = pipe
        status = await tasks[-1]
        for task in tasks[:-1]:
            task.cancel()
    return status


async def _command(words: list[str], context: Context, programs: Mapping[str, Program]) -> int:
    argv: list[str] = []
    redirected: bytearray | None = None
    target = ""
    append = False
    walk = iter(words)
    for word in walk:
        if word == "<":
            data = b"" if (name := next(walk, "")) == "/dev/null" else _file(context, name)
            context.stdin = Pipe()
            context.stdin.write(data)
            context.stdin.end()
        elif word in (">", ">>", ">&"):
            name = next(walk, "")
            if argv and argv[-1] == "2":
                argv.pop()
                context.err = context.out if name == "1" else _discard
            elif name == "/dev/null":
                context.out = _discard
            else:
                redirected, target, append = bytearray(), name, word == ">>"
                context.out = redirected.extend
        else:
            argv.append(word)
    while argv and "=" in argv[0] and argv[0].split("=")[0].isidentifier():
        name, _, value = argv.pop(0).partition("=")
        context.environment = {**context.environment, name: value}
    if not argv:
        return 0
    status = await run_argv(argv, context, programs)
    if redirected is not None:
        before = context.board.written.get(target, b"") if append else b""
        context.board.written[target] = before + bytes(redirected)
    return status


async def run_argv(argv: list[str], context: Context, programs: Mapping[str, Program]) -> int:
    """Run one program by its name or its usual absolute path."""
    program = programs.get(argv[0].rsplit("/", 1)[-1])
    if program is None:
        context.complain(f"sh: 1: {argv[0]}: not found")
        return 127
    try:
        return await program(context, argv)
    except BrokenPipeError:
        return 141
    except OSError as error:
        context.complain(f"{argv[0]}: {error.filename or ''}: {error.strerror}")
        return 1


def _discard(data: bytes) -> None:
    """/dev/null."""


def _file(context: Context, path: str) -> bytes:
    from cohete.simulator.files import read_file

    return read_file(context.board, path) or b""
