"""Changes to the devices of a running fleet, as a front end asks for them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from cohete.config.control import Control as ControlSettings
from cohete.config.control import Power
from cohete.control.applying import Control
from cohete.control.attempt import Progress
from cohete.control.change import Action, Change
from cohete.control.looking import Runner
from cohete.control.outcome import Result
from cohete.fleet.chosen import ChosenProfiles
from cohete.fleet.desired import profile_named
from cohete.fleet.rollout import Rules, Window
from cohete.fleet.state import Device
from cohete.power.profiles import BUILT_IN, Profile


@dataclass(frozen=True, slots=True)
class Changes:
    """What can be asked of the boards of a fleet, over the connections that are there."""

    control: Control
    runner_of: Callable[[Device], Runner]
    settings: ControlSettings
    folder: Path
    """Where the audit log and the rollouts are kept."""
    power: Power = field(default_factory=Power)
    """The profiles of the configuration."""
    chosen: ChosenProfiles | None = None
    why_no_key: Callable[[Device], Awaitable[str]] | None = None
    """Why a new connection to a device is not let in by a key alone; empty where it is."""

    def profiles(self, devices: Iterable[Device]) -> list[Profile]:
        """What can be set at once: the profiles of the configuration, then the built-in ones."""
        specs = [device.spec for device in devices]
        names = dict.fromkeys([*self.power.profiles, *BUILT_IN])
        return [profile_named(name, self.power, self.settings, specs) for name in names]

    @property
    def rules(self) -> Rules:
        """How one change goes over many devices."""
        return rules_from(self.settings)

    def refusal(self, device: Device) -> str:
        """Why a device must not be changed; empty where it may be."""
        return self.control.gate.refusal(device.spec)

    async def look(self, device: Device, action: Action) -> Change:
        """What the action means on a device now. Raises ChangeRefused, LinkError, CommandError."""
        return await self.control.look(device.spec, self.runner_of(device), action)

    async def apply(
        self,
        device: Device,
        action: Action,
        *,
        shown: Change | None = None,
        reboot: bool = False,
        progress: Progress | None = None,
    ) -> Result:
        """Make it so, or say why not."""
        result = await self.control.apply(
            device.spec, self.runner_of(device), action,
            shown=shown, reboot=reboot, progress=progress,
        )  # fmt: skip
        if isinstance(action, Profile) and result.outcome.is_well:
            # From now on its budget counts.
            device.profile_name = action.name
            if self.chosen is not None:
                await self.chosen.choose(device.id, action.name)
        return result


def rules_from(settings: ControlSettings) -> Rules:
    """The rules of a rollout as they are configured."""
    rollout = settings.rollout
    window = None
    if rollout.window is not None:
        begin, end = (int(part[:2]) * 60 + int(part[3:]) for part in rollout.window.split("-"))
        window = Window(begin, end)
    return Rules(rollout.at_once, rollout.canary, rollout.stop_after, rollout.stop_share, window)
