"""TCP to a name or an address, IPv4 and IPv6 side by side, bounded in time."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import aiohappyeyeballs

from cohete.errors import LinkError

AddressInfo = aiohappyeyeballs.AddrInfoType
Lookup = Callable[[str, int, int], list[AddressInfo]]
"""Host, port and getaddrinfo flags to addresses."""

_RESOLVER_THREADS = 32
_HAPPY_EYEBALLS_DELAY_S = 0.25


def lookup(host: str, port: int, flags: int) -> list[AddressInfo]:
    """Stream addresses of a host; blocking. Raises socket.gaierror."""
    infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    return [
        (family, kind, protocol, name, (str(address[0]), *address[1:]))
        for family, kind, protocol, name, address in infos
        if family in (socket.AF_INET, socket.AF_INET6)
    ]


class Dialer:
    """Opens sockets. Names are resolved in threads of its own, so that dead names only delay
    themselves."""

    def __init__(self, lookup: Lookup = lookup) -> None:
        self._lookup = lookup
        self._threads: ThreadPoolExecutor | None = None

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
        except OSError as error:
            raise _explain(error, where) from None

    async def _resolve(self, host: str, port: int) -> list[AddressInfo]:
        try:
            return self._lookup(host, port, socket.AI_NUMERICHOST)
        except socket.gaierror:
            pass
        if self._threads is None:
            self._threads = ThreadPoolExecutor(_RESOLVER_THREADS, "cohete-resolve")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._lookup, host, port, 0)

    def close(self) -> None:
        """Let the resolver threads go; a lookup that hangs does not hold the program back."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
            self._threads = None


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
        # Several addresses were tried: aiohappyeyeballs joins their errors into one text.
        code = next((c for c in _HINTS if os.strerror(c) in str(error)), None)
    what, hint = _HINTS.get(code or 0, ("", ""))
    if not what:
        what = (os.strerror(code) if code else "the connection failed").lower()
    return LinkError(what, where=where, hint=hint)
