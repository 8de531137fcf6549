"""From a device's description to its link: the one place where a kind of link is chosen."""

from __future__ import annotations

from collections.abc import Callable

from cohete.clock import Clock
from cohete.config.spec import DeviceSpec, Reach
from cohete.links.base import Link
from cohete.links.ssh import SshConnector, SshLink

Opener = Callable[[DeviceSpec], Link]


def make_opener(connector: SshConnector, clock: Clock) -> Opener:
    """An opener over shared SSH state. A new kind of link is one more row here."""

    def local(spec: DeviceSpec) -> Link:
        from cohete.links.local import LocalLink

        return LocalLink(spec.id)

    def replay(spec: DeviceSpec) -> Link:
        from cohete.links.replay import ReplayLink

        assert spec.file is not None
        return ReplayLink(spec.file, interval_s=spec.interval_ms / 1000, clock=clock)

    def ssh(spec: DeviceSpec) -> Link:
        return SshLink(spec, connector)

    kinds: dict[Reach, Opener] = {Reach.SSH: ssh, Reach.LOCAL: local, Reach.REPLAY: replay}
    return lambda spec: kinds[spec.reach](spec)
