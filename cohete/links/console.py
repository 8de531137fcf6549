"""A board's serial console over USB: 115200 8N1, log in, run commands. No network is needed.

The gadget of L4T has a getty on it. Commands run in its shell one after the other; where each ends
is told by a mark that is different each time, and that its echo does not contain.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
import shlex
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from cohete.errors import AuthRefused, CommandError, LinkError
from cohete.links.base import MAX_OUTPUT_BYTES, Completed
from cohete.links.commands import quote
from cohete.text import decode, sanitise

if TYPE_CHECKING:
    from serial import Serial

BAUD = 115_200
LOGIN_S = 20.0
ANSWER_S = 3.0
QUIET_S = 0.3
MAX_LINE = 2_048
"""A tty takes 4,096 bytes a line at most; what is longer goes in several."""
_LOGIN = re.compile(rb"login: *$", re.IGNORECASE)
_PASSWORD = re.compile(rb"password[^\n:]{0,40}: *$", re.IGNORECASE)
_PROMPT = re.compile(rb"[$#] (?:\x1b\[[0-9;?]*[a-zA-Z])*$")
_WRONG = re.compile(rb"login incorrect", re.IGNORECASE)
_ESCAPES = re.compile(rb"\x1b\[[0-9;?]*[a-zA-Z]|\x1b\][^\x07]{0,200}\x07")


class SerialPort:
    """`async with SerialPort("/dev/ttyACM0") as port:` bytes in and out, none lost or changed.

    Nobody else can open it meanwhile; it is let go however the block ends. Raises LinkError.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._serial: Serial | None = None
        self._arrived: asyncio.Queue[bytes] = asyncio.Queue()
        self._gone = False

    async def __aenter__(self) -> SerialPort:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    async def open(self) -> None:
        """Open it. Raises LinkError with what to do."""
        import serial

        try:
            port = await asyncio.to_thread(
                lambda: serial.Serial(
                    self.path, BAUD, bytesize=serial.EIGHTBITS, parity=serial.PARITY_NONE,
                    stopbits=serial.STOPBITS_ONE, timeout=0, write_timeout=5, exclusive=True,
                )
            )  # fmt: skip
        except (OSError, ValueError) as error:
            raise _explained(error, self.path) from None
        self._serial = port
        asyncio.get_running_loop().add_reader(port.fileno(), self._readable)

    def _readable(self) -> None:
        assert self._serial is not None
        try:
            data = self._serial.read(65_536)
        except OSError:
            data = b""
        if not data:
            # Readable without anything to read: it was pulled out.
            self._gone = True
            asyncio.get_running_loop().remove_reader(self._serial.fileno())
        self._arrived.put_nowait(data)

    async def read(self) -> bytes:
        """What arrived, at least a byte. Raises LinkError once the port is gone."""
        if self._gone and self._arrived.empty():
            raise LinkError("the console was pulled out", where=self.path)
        data = await self._arrived.get()
        if not data:
            raise LinkError("the console was pulled out", where=self.path)
        return data

    async def write(self, data: bytes) -> None:
        """Send it all. Raises LinkError."""
        serial = self._serial
        if serial is None or self._gone:
            raise LinkError("the console is not open", where=self.path)
        try:
            await asyncio.to_thread(serial.write, data)
        except (OSError, ValueError) as error:
            raise LinkError(f"the console takes nothing: {_why(error)}", where=self.path) from None

    def close(self) -> None:
        """Let it go; harmless when it is closed."""
        serial, self._serial = self._serial, None
        if serial is None:
            return
        if not self._gone:
            with contextlib.suppress(OSError, ValueError):
                asyncio.get_running_loop().remove_reader(serial.fileno())
        with contextlib.suppress(OSError):
            serial.close()


Ask = Callable[[str], Awaitable[str]]
"""Asks a person for a secret; it is sent, and kept nowhere."""


class Console:
    """A shell on the other side of a serial port."""

    def __init__(self, port: SerialPort) -> None:
        self._port = port
        self._seen = b""
        self._turn = asyncio.Lock()

    @property
    def description(self) -> str:
        """How this board is reached."""
        return f"serial console {self._port.path}"

    async def log_in(self, user: str, ask: Ask) -> None:
        """As far as a shell, which may be there already. Raises AuthRefused, LinkError."""
        try:
            async with asyncio.timeout(LOGIN_S) as limit:
                await self._to_shell(user, ask, limit)
        except TimeoutError:
            raise LinkError(
                "nobody answers on the console", where=self._port.path,
                hint="Is the board running? It takes a minute to start.",
            ) from None  # fmt: skip
        # Without echo, and with a prompt that is known.
        await self._port.write(b"stty -echo; PS1='$ '; PS2=; unset PROMPT_COMMAND\n")
        await self._settle()

    async def _to_shell(self, user: str, ask: Ask, limit: asyncio.Timeout) -> None:
        named = False
        await self._port.write(b"\n")
        while True:
            await self._until(_LOGIN, _PASSWORD, _PROMPT, _WRONG)
            # Enter may have brought a second prompt behind the first: the last one counts.
            text = await self._until_quiet()
            if named and _WRONG.search(text):
                self._seen = b""
                raise AuthRefused(
                    f"the board does not let {user} in", where=self._port.path,
                    hint="Is that the name and password that were chosen at its first start?",
                )  # fmt: skip
            if _LOGIN.search(text):
                named = True
                await self._port.write(user.encode() + b"\n")
            elif _PASSWORD.search(text):
                # However long somebody takes to type.
                left = (limit.when() or 0.0) - asyncio.get_running_loop().time()
                limit.reschedule(None)
                secret = await ask(f"Password of {user} on {self._port.path}")
                limit.reschedule(asyncio.get_running_loop().time() + max(left, ANSWER_S))
                await self._port.write(secret.encode() + b"\n")
            elif _PROMPT.search(text):
                self._seen = b""
                return
            self._seen = b""

    async def run(self, argv: Sequence[str], *, timeout_s: float) -> Completed:
        """Run a command to its end; both outputs come together. Raises CommandError, LinkError."""
        async with self._turn:
            mark = f"cohete-{secrets.token_hex(8)}"
            begun = f"printf '@@%s@@\\n' {mark}-begin; "
            await self._send(f"{begun}{quote(argv)} 2>&1 </dev/null; {_end(mark)}")
            status, text = await self._ended(mark, timeout_s)
            said = text.partition(f"@@{mark}-begin@@".encode())[2]
            said = said.replace(b"\r\n", b"\n").removeprefix(b"\n").removesuffix(b"\r")
            is_cut = len(said) > MAX_OUTPUT_BYTES
            return Completed(status, said[:MAX_OUTPUT_BYTES], b"", is_cut)

    async def answer(self, argv: Sequence[str], prompt: str, ask: Ask, *, timeout_s: float) -> str:
        """Run a command that asks for a secret, and give it one; what it said. Raises LinkError,
        CommandError."""
        async with self._turn:
            mark = f"cohete-{secrets.token_hex(8)}"
            await self._send(f"{quote(argv)} 2>&1; {_end(mark)}")
            asked = re.compile(re.escape(prompt.encode()) + rb"[^\n]{0,80}$", re.IGNORECASE)
            found = await self._ended(mark, timeout_s, asked)
            if found[0] is None:
                self._seen = b""
                secret = await ask(prompt)
                await self._port.write(secret.encode() + b"\n")
                found = await self._ended(mark, timeout_s)
            status, text = found
            said = sanitise(" ".join(decode(text).split()), 400)
            if status != 0:
                raise CommandError(said or f"it ended with status {status}", where=self._port.path)
            return said

    async def _ended(
        self, mark: str, timeout_s: float, *others: re.Pattern[bytes]
    ) -> tuple[int | None, bytes]:
        """The exit status of what was sent, and what it printed; None where one of the others came
        first. Raises CommandError when it takes too long: then it is interrupted."""
        ended = re.compile(rb"\n@@" + mark.encode() + rb" (\d{1,3})@@")
        try:
            async with asyncio.timeout(timeout_s):
                text = await self._until(ended, *others)
        except TimeoutError:
            await self._port.write(b"\x03")
            await self._settle()
            raise CommandError(
                f"it did not finish within {timeout_s:g} s", where=self._port.path
            ) from None
        match = ended.search(text)
        if match is None:
            return None, text
        self._seen = text[match.end() :]
        return int(match[1]), text[: match.start()]

    async def _send(self, line: str) -> None:
        """A line of any length: a terminal takes them only so long."""
        raw = line.encode()
        if len(raw) <= MAX_LINE:
            await self._port.write(raw + b"\n")
            return
        # Put together by the shell, from lines that are short enough.
        await self._port.write(b"cohete_l=\n")
        step = MAX_LINE // 4
        for at in range(0, len(line), step):
            part = shlex.quote(line[at : at + step])
            await self._port.write(f'cohete_l="$cohete_l"{part}\n'.encode())
        await self._port.write(b'eval "$cohete_l"\n')

    async def _until(self, *patterns: re.Pattern[bytes]) -> bytes:
        """Read on until one of these is at hand; all that was seen since."""
        while not any(pattern.search(_ESCAPES.sub(b"", self._seen)) for pattern in patterns):
            self._seen += await self._port.read()
            if len(self._seen) > 4 * MAX_OUTPUT_BYTES:
                self._seen = self._seen[-2 * MAX_OUTPUT_BYTES :]
        return _ESCAPES.sub(b"", self._seen)

    async def _until_quiet(self) -> bytes:
        """Read on until nothing more comes; all that was seen since."""
        with contextlib.suppress(TimeoutError):
            while True:
                async with asyncio.timeout(QUIET_S):
                    self._seen += await self._port.read()
        return _ESCAPES.sub(b"", self._seen)

    async def _settle(self) -> None:
        """Past whatever is still printed, to a quiet prompt."""
        mark = f"cohete-{secrets.token_hex(4)}"
        await self._port.write(f"printf '@@%s@@\\n' {mark}\n".encode())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_S):
                await self._until(re.compile(f"@@{mark}@@".encode()))
        self._seen = b""


def _end(mark: str) -> str:
    """Tells that a command has ended, and how; its own echo does not look like that."""
    return f"printf '\\n@@%s %d@@\\n' {mark} $?"


def _explained(error: Exception, path: str) -> LinkError:
    text = _why(error)
    hints = {
        "Permission denied": "Join the group dialout (Debian, Ubuntu), or ask for a udev rule.",
        "No such file": "Is the board plugged in and running? `cohete discover --usb` lists it.",
        "lock": "Another program has it open: a terminal, or ModemManager.",
        "busy": "Another program has it open: a terminal, or ModemManager.",
    }
    hint = next((hint for words, hint in hints.items() if words in text), "")
    return LinkError(f"the console cannot be opened: {text}", where=path, hint=hint)


def _why(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error)
    return sanitise(text.rpartition("] ")[2].partition(": '")[0], 160)
