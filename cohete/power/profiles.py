"""Power profiles: mode, clocks and fan of a board as one wish, by meaning where ids differ.

Built in: max_performance (uncapped where a board has that, clocks locked, fan at full), balanced
(the mode a board starts with) and power_saver (its fewest watts).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cohete.control.change import Action, Change, Need, Sections, Step
from cohete.links.commands import Probe
from cohete.power.clocks import HOT_C, SetClocks, read_clocks
from cohete.power.fan import HOLDS_S, AutomaticFan, HoldFan, SetFanProfile, parse_fan
from cohete.power.jetson_clocks import Lock
from cohete.power.modes import DEFAULT, LEAST, MOST, SetMode
from cohete.power.reading import power_from


@dataclass(frozen=True, slots=True)
class Profile:
    """What a board should be like; None leaves a thing as it is.

    `mode`: a name, or one of @most, @default, @least. `clocks`: locked or free. `fan`: a speed (0
    to 255, held for 8 h), "auto", or a profile of nvfancontrol.
    """

    name: str
    mode: str | None = None
    clocks: bool | None = None
    fan: int | str | None = None
    limit_c: float = HOT_C
    drain: tuple[str, ...] = ()
    finish: tuple[str, ...] = ()

    @property
    def intent(self) -> str:
        return f"set the power profile {self.name}"

    @property
    def words(self) -> str:
        """What it sets: "least power, clocks free, fan auto"."""
        parts: list[str] = []
        if self.mode is not None:
            parts.append(_MEANINGS.get(self.mode, self.mode))
        if self.clocks is not None:
            parts.append("clocks locked" if self.clocks else "clocks free")
        if self.fan is not None:
            parts.append(
                f"fan {self.fan} of 255" if isinstance(self.fan, int) else f"fan {self.fan}"
            )
        return ", ".join(parts) or "sets nothing"

    @property
    def probes(self) -> tuple[Probe, ...]:
        found = {probe.name: probe for part in self._parts() for probe in part.probes}
        return tuple(found.values())

    def plan(self, device: str, board: Sections) -> Change:
        """Clocks are let go before the mode changes, and locked after it.

        Raises ChangeRefused where any part cannot be.
        """
        changes: list[Change] = []
        mode_changes = False
        for part in self._parts():
            change = part.plan(device, board)
            if isinstance(part, SetClocks) and part.locked and mode_changes:
                change = part.lock_anyway(device, board)
            mode_changes = mode_changes or (isinstance(part, SetMode) and not change.is_done)
            changes.append(change)
        # In words the mode comes first, whatever runs first.
        parts = zip(self._parts(), changes, strict=True)
        told = [change for _, change in sorted(parts, key=lambda each: _is_no_mode(each[0]))]
        return _together(self, device, changes, told, self._undo(device, board))

    def _parts(self) -> list[Action]:
        parts: list[Action] = []
        if self.clocks is False:
            # What was stored belongs to the mode there is now.
            parts.append(SetClocks(locked=False, limit_c=self.limit_c))
        if self.mode is not None:
            parts.append(SetMode(self.mode, self.drain, self.finish))
        if self.clocks:
            parts.append(SetClocks(locked=True, limit_c=self.limit_c))
        if isinstance(self.fan, int):
            parts.append(HoldFan(self.fan, HOLDS_S[-1]))
        elif self.fan == "auto":
            parts.append(AutomaticFan())
        elif self.fan is not None:
            parts.append(SetFanProfile(self.fan))
        return parts

    def _undo(self, device: str, board: Sections) -> Profile | None:
        """The same things as they are now; None where one of them is not known."""
        mode = clocks = fan = None
        if self.mode is not None:
            now = power_from(dict(board)).current_mode
            if now is None:
                return None
            mode = now.name
        if self.clocks is not None:
            lock = read_clocks(device, board).lock
            if lock is Lock.PARTLY:
                return None
            clocks = lock is Lock.LOCKED
        if self.fan is not None:
            state = parse_fan(board)
            if not state.automatic:
                return None
            fan = state.profile or "auto"
        return Profile(f"as {device} was", mode, clocks, fan, self.limit_c, self.drain, self.finish)


BUILT_IN: Mapping[str, Profile] = {
    "max_performance": Profile("max_performance", MOST, clocks=True, fan=255),
    "balanced": Profile("balanced", DEFAULT, clocks=False, fan="auto"),
    "power_saver": Profile("power_saver", LEAST, clocks=False, fan="auto"),
}


_MEANINGS = {MOST: "most power", DEFAULT: "the mode it starts with", LEAST: "least power"}


def _is_no_mode(part: Action) -> bool:
    return not isinstance(part, SetMode)


def _together(
    profile: Profile,
    device: str,
    changes: list[Change],
    told: list[Change],
    undo: Profile | None,
) -> Change:
    steps: list[Step] = []
    after_mode: list[Step] = []
    reboot: tuple[Step, ...] = ()
    after_reboot: tuple[Step, ...] = ()
    undrain: tuple[Step, ...] = ()
    needs: set[Need] = set()
    for change in changes:
        steps += change.steps
        if change.reboot_steps:
            reboot, after_reboot = change.reboot_steps, change.after_reboot
            undrain = change.undrain
        else:
            after_mode += change.steps
        needs |= change.needs
    readings = "; ".join(change.readings for change in changes if change.readings)
    return Change(
        device, profile.intent,
        "; ".join(change.before or "unknown" for change in told),
        "; ".join(change.after for change in told),
        steps=tuple(steps),
        reboot_steps=reboot if steps else (),
        after_reboot=(*after_reboot, *after_mode) if reboot else (),
        undrain=undrain,
        needs=frozenset(needs),
        notes=tuple(dict.fromkeys(note for change in changes for note in change.notes)),
        undo=undo,
        undo_words="Undone by setting each thing as it is now."
        if undo is not None
        else "It cannot be undone: how it is now is not known in full.",
        readings=readings,
        settle_s=max((change.settle_s for change in changes), default=0.0),
    )  # fmt: skip
