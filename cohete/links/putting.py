"""A file to the other end of an SSH connection, from where it was cut off before."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import asyncssh

from cohete.errors import CommandError, LinkError
from cohete.links.handshake import reason

BLOCK_BYTES = 1 << 20
Sent = Callable[[int, int], None]
"""Told bytes that are there, and all."""


async def put(
    connection: asyncssh.SSHClientConnection, where: str, local: str, remote: str, sent: Sent
) -> None:
    """Send a file; what is there of it already stays. Raises LinkError, CommandError."""
    try:
        async with connection.start_sftp_client() as client:
            await _send(client, Path(local), remote, sent)
    except asyncssh.SFTPNoSuchFile:
        raise CommandError(
            f"there is no folder {remote.rpartition('/')[0]} on the board", where=where,
            hint="Name another one with --to.",
        ) from None  # fmt: skip
    except asyncssh.SFTPError as error:
        raise CommandError(
            f"the board takes no files: {reason(error)}", where=where,
            hint="Its SSH server may have no SFTP subsystem, or the disk may be full.",
        ) from None  # fmt: skip
    except (asyncssh.Error, ConnectionError) as error:
        raise LinkError(f"the connection was lost: {reason(error)}", where=where) from None
    except OSError as error:
        raise CommandError(f"{local}: {error.strerror or error}", where=where) from None


async def _send(client: asyncssh.SFTPClient, local: Path, remote: str, sent: Sent) -> None:
    total = (await asyncio.to_thread(local.stat)).st_size
    try:
        at = (await client.stat(remote)).size or 0
    except asyncssh.SFTPNoSuchFile:
        at = 0
    if at > total:
        at = 0
    mode = "r+b" if at else "wb"
    file = await asyncio.to_thread(local.open, "rb")
    try:
        async with client.open(remote, mode) as there:
            await asyncio.to_thread(file.seek, at)
            while block := await asyncio.to_thread(file.read, BLOCK_BYTES):
                await there.write(block, at)
                at += len(block)
                sent(at, total)
    finally:
        file.close()
