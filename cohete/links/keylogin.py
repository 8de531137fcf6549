"""Whether a board lets a person in by a key, without asking for a password."""

from __future__ import annotations

from cohete.clock import Clock
from cohete.config.spec import DeviceSpec
from cohete.errors import CoheteError
from cohete.links.opener import make_opener
from cohete.links.reopening import ReopeningLink
from cohete.links.ssh import SshConnector

LIMIT_S = 20.0


async def why_no_key(connector: SshConnector, spec: DeviceSpec, clock: Clock) -> str:
    """Why a connection of its own is not let in by a key alone; empty where it is."""
    alone = SshConnector(connector.settings, connector.files)
    try:
        async with ReopeningLink(make_opener(alone, clock), spec) as link:
            await link.run(("true",), timeout_s=LIMIT_S)
    except CoheteError as error:
        return f"{error.what}. {error.hint}" if error.hint else error.what
    finally:
        await alone.close()
    return ""
