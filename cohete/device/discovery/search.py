"""One search in every way that was asked for, at the same time, each within its own limit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from cohete.clock import Clock
from cohete.config.schema import StaticHosts
from cohete.config.target import parse_target
from cohete.device.discovery import mdns, memory, network, usb, usual
from cohete.device.discovery.found import Address, Found, Kind, Sighting, Way, merge
from cohete.errors import ConfigError
from cohete.links.sshconfig import resolve

USB_PERIOD_S = 0.5


@dataclass(frozen=True, slots=True)
class Wanted:
    """Where to look. `networks`: CIDRs and addresses that somebody named, and no others."""

    on_usb: bool = True
    by_mdns: bool = True
    networks: tuple[str, ...] = ()
    hosts: tuple[tuple[str, int], ...] = ()
    """Names or addresses with their ports, beside those networks."""
    ssh_config: Path | None = None
    known_hosts: Path | None = None
    state_folder: Path | None = None
    """Where boards are remembered; None: nowhere."""
    for_s: float = mdns.FOR_S
    sysfs: Path = usb.SYSFS
    interfaces: tuple[str, ...] = ()
    """Addresses of this computer to hear mDNS on; empty: all."""


def wanted_by(
    methods: Sequence[Literal["usb", "mdns"] | StaticHosts], folder: Path, for_s: float
) -> Wanted:
    """As the configuration says it."""
    static = [
        parse_target(host)
        for method in methods
        if isinstance(method, StaticHosts)
        for host in method.static
    ]
    return Wanted(
        on_usb="usb" in methods,
        by_mdns="mdns" in methods,
        hosts=tuple((target.host, target.port or network.SSH_PORT) for target in static),
        state_folder=folder,
        for_s=for_s,
    )


@dataclass(slots=True)
class Search:
    """What was seen so far. `notes`: why a way could not be gone."""

    wanted: Wanted
    clock: Clock
    changed: Callable[[], None] = lambda: None
    sightings: dict[Way, list[Sighting]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    _asked: dict[tuple[str, int], asyncio.Task[str | None]] = field(default_factory=dict)
    tried: int = 0
    to_try: int = 0

    @property
    def found(self) -> list[Found]:
        """Every board once."""
        return merge(each for seen in self.sightings.values() for each in seen)

    async def run(self) -> list[Found]:
        """Look in every way, and remember what was found. Raises ConfigError for a bad network."""
        try:
            return await self._run(self.wanted)
        finally:
            for task in self._asked.values():
                task.cancel()
            await asyncio.gather(*self._asked.values(), return_exceptions=True)

    async def _run(self, wanted: Wanted) -> list[Found]:
        hosts = await asyncio.to_thread(network.hosts_in, wanted.networks)
        async with asyncio.TaskGroup() as group:
            if wanted.state_folder is not None:
                group.create_task(self._remembered(wanted.state_folder))
            if wanted.on_usb:
                group.create_task(self._usb())
            if wanted.by_mdns:
                group.create_task(self._mdns())
            places = [*wanted.hosts, *((host, network.SSH_PORT) for host in hosts)]
            if places:
                group.create_task(self._answering(Way.NETWORK, places, {}))
            if wanted.ssh_config is not None or wanted.known_hosts is not None:
                group.create_task(self._usual())
        await self._keys_of_the_rest()
        if wanted.state_folder is not None:
            try:
                await asyncio.to_thread(memory.remember, wanted.state_folder, self.found)
            except OSError as error:
                self.notes.append(f"what was found cannot be remembered: {error.strerror}")
        return self.found

    async def _ask(self, host: str, port: int) -> str | None:
        """The host key there; each place is connected to once, however many ways lead to it."""
        task = self._asked.get((host, port))
        if task is None:
            task = asyncio.ensure_future(network.host_key_at(host, port))
            self._asked[host, port] = task
        return await asyncio.shield(task)

    def _saw(self, way: Way, sightings: Sequence[Sighting]) -> None:
        self.sightings.setdefault(way, []).extend(sightings)
        self.changed()

    async def _remembered(self, folder: Path) -> None:
        self._saw(Way.KNOWN, await asyncio.to_thread(memory.remembered, folder))

    async def _usb(self) -> None:
        """As long as the search goes on: a board that is plugged in meanwhile shows up."""
        begun = self.clock.monotonic()
        while True:
            self.sightings[Way.USB] = await asyncio.to_thread(usb.on_usb, self.wanted.sysfs)
            self.changed()
            if self.clock.monotonic() - begun >= self.wanted.for_s:
                return
            await self.clock.sleep(USB_PERIOD_S)

    async def _mdns(self) -> None:
        services: dict[str, Sighting] = {}

        def seen(name: str, sighting: Sighting | None) -> None:
            if sighting is None:
                services.pop(name, None)
            else:
                services[name] = sighting
            self.sightings[Way.MDNS] = list(services.values())
            self.changed()

        try:
            async with mdns.Listening(seen, self.wanted.interfaces):
                await self.clock.sleep(self.wanted.for_s)
        except mdns.Blocked as error:
            self.notes.append(f"mDNS cannot be used here ({error}); the other ways can")

    async def _usual(self) -> None:
        """Hosts that ssh was told of, or has been to."""
        wanted, names, places = self.wanted, {}, []
        if wanted.ssh_config is not None:
            for alias in await asyncio.to_thread(usual.aliases, wanted.ssh_config):
                try:
                    to = await asyncio.to_thread(resolve, parse_target(alias), wanted.ssh_config)
                except ConfigError:
                    continue
                if not to.jumps:
                    names[to.host, to.port] = alias
                    places.append((to.host, to.port))
        if wanted.known_hosts is not None:
            places += await asyncio.to_thread(usual.known, wanted.known_hosts)
        await self._answering(Way.SSH, places, names)

    async def _answering(
        self, way: Way, places: list[tuple[str, int]], names: dict[tuple[str, int], str]
    ) -> None:
        before = self.tried

        def progress(tried: int, _: int) -> None:
            self.tried = before + tried
            self.changed()

        self.to_try += len(set(places))
        self._saw(way, await network.answering(places, way, names, progress, self._ask))

    async def _keys_of_the_rest(self) -> None:
        """Host keys of what was seen without one: by them a board is known however it was seen."""
        asked = {
            (address.host, address.port)
            for seen in self.sightings.values()
            for each in seen
            if each.host_key
            for address in each.addresses
            if address.is_open
        }
        todo: list[tuple[Way, Sighting, Address]] = [
            (way, each, address)
            for way, seen in self.sightings.items()
            for each in seen
            if not each.host_key and each.kind is not Kind.RECOVERY
            for address in each.addresses
            if (address.host, address.port) not in asked
        ]
        places = [(address.host, address.port) for _, _, address in todo]
        by_place = {
            (each.addresses[0].host, each.addresses[0].port): each
            for each in await network.answering(places, ask=self._ask)
        }
        for way, each, address in todo:
            answer = by_place.get((address.host, address.port))
            if answer is not None:
                self._saw(
                    way,
                    [
                        Sighting(
                            way,
                            each.kind,
                            each.name,
                            answer.addresses,
                            answer.host_key,
                            each.ids,
                            each.console,
                        )
                    ],
                )
