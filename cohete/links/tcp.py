"""TCP to a name or an address, IPv4 and IPv6 side by side, bounded in time."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import threading
from collections.abc import Callable

import aiohappyeyeballs

from cohete.errors import LinkError, LinkRefused
from cohete.text import sanitise

AddressInfo = aiohappyeyeballs.AddrInfoType
Lookup = Callable[[str, int, int], list[AddressInfo]]
"""Host, port and getaddrinfo flags to addresses."""

_HAPPY_EYEBALLS_DELAY_S = 0.25


def lookup(host: str, port: int, flags: int) -> list[AddressInfo]:
    """Stream addresses of a host; blocking. Raises socket.gaierror, UnicodeError."""
    infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    return [
        (family, kind, protocol, name, (str(address[0]), *address[1:]))
        for family, kind, protocol, name, address in infos
        if family in (socket.AF_INET, socket.AF_INET6)
    ]


class Dialer:
    """Opens sockets. Each name has a thread of its own while it is looked up, so that dead names
    only delay themselves; who asks for the same name meanwhile shares the answer."""

    def __init__(self, lookup: Lookup = lookup) -> None:
        self._lookup = lookup
        self._asking: dict[tuple[str, int], asyncio.Future[list[AddressInfo]]] = {}

    async def dial(self, host: str, port: int, timeout_s: float) -> socket.socket:
        """A connected socket. Raises LinkError naming what went wrong."""
        where = f"{host} port {port}"
        try:
            async with asyncio.timeout(timeout_s):
                infos = await self._resolve(host, port)
                return await aiohappyeyeballs.start_connection(
                    infos, happy_eyeballs_delay=_HAPPY_EYEBALLS_DELAY_S
                )
        except TimeoutError:
            raise LinkError(
                f"no answer within {timeout_s:g} s",
                where=where,
                hint="Is the board on, and is this network the right one?",
            ) from None
        except socket.gaierror:
            raise LinkError(
                f"the name {host} does not resolve",
                where=where,
                hint="Check the spelling, or use the address.",
            ) from None
        except (UnicodeError, ValueError):
            raise LinkRefused(
                f"{sanitise(host, 80)} cannot be a host name",
                where=where,
                hint="Check the spelling.",
            ) from None
        except OSError as error:
            raise _explain(error, where) from None

    async def _resolve(self, host: str, port: int) -> list[AddressInfo]:
        with contextlib.suppress(socket.gaierror):
            return self._lookup(host, port, socket.AI_NUMERICHOST)
        key = (host, port)
        answer = self._asking.get(key)
        if answer is None:
            answer = self._asking[key] = self._ask(host, port)
            answer.add_done_callback(lambda _: self._asking.pop(key, None))
        return await asyncio.shield(answer)

    def _ask(self, host: str, port: int) -> asyncio.Future[list[AddressInfo]]:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[list[AddressInfo]] = loop.create_future()
        # Whoever asked may have given up; then nobody is left to be told.
        answer.add_done_callback(lambda done: done.cancelled() or done.exception())

        def work() -> None:
            try:
                infos = self._lookup(host, port, 0)
            except (OSError, UnicodeError) as failed:
                problem = failed
                _tell(loop, answer, lambda: answer.set_exception(problem))
            else:
                _tell(loop, answer, lambda: answer.set_result(infos))

        threading.Thread(target=work, name=f"resolve {host}", daemon=True).start()
        return answer


def _tell(
    loop: asyncio.AbstractEventLoop,
    answer: asyncio.Future[list[AddressInfo]],
    settle: Callable[[], None],
) -> None:
    # A loop that is closed by now has nobody who waits.
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(lambda: None if answer.done() else settle())


_HINTS = {
    errno.ECONNREFUSED: ("connection refused", "Is an SSH server running on this port?"),
    errno.EHOSTUNREACH: ("no route to host", "Is the board on and in this network?"),
    errno.ENETUNREACH: ("no route to this network", "Check the network of this machine."),
    errno.ETIMEDOUT: ("no answer", "Is the board on and in this network?"),
    errno.EMFILE: ("too many open files", "Raise `ulimit -n` and start again."),
}


def _explain(error: OSError, where: str) -> LinkError:
    code = error.errno
    if code is None:
        # Several addresses were tried: their errors come joined into one text.
        code = next((c for c in _HINTS if os.strerror(c) in str(error)), None)
    what, hint = _HINTS.get(code or 0, ("", ""))
    if not what:
        what = (os.strerror(code) if code else "the connection failed").lower()
    return LinkError(what, where=where, hint=hint)
