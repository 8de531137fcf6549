"""Thermal policies of a configuration as the core wants them, and what an open breaker does."""

from __future__ import annotations

from cohete.config.thermal import Reactions, ThermalPolicy
from cohete.control.change import Action
from cohete.fleet.holding import Hold, Kind, Work
from cohete.power.fan import HoldFan
from cohete.power.modes import SetMode
from cohete.thermal.policy import Ambient, Pair, Policy

FAN_HOLD_S = 3600


def policy_of(name: str, written: ThermalPolicy) -> Policy:
    """A policy as the core wants it, from the configuration."""
    ambient = written.ambient
    return Policy(
        name,
        Pair(written.threshold_c, written.cooldown_c),
        written.check_interval_ms / 1000,
        written.warning_margin_c,
        {mode: Pair(each.threshold_c, each.cooldown_c) for mode, each in written.modes.items()},
        None if ambient is None else Ambient(ambient.reference_c, ambient.per_c, ambient.most_c),
    )


def works_of(reactions: Reactions) -> tuple[Work, ...]:
    """What an open breaker holds."""
    return (
        *(Work(Kind.UNIT, name) for name in reactions.stop),
        *(Work(Kind.FROZEN, name) for name in reactions.freeze),
        *(Work(Kind.CONTAINER, name) for name in reactions.pause),
        *(Work(Kind.PROCESS, name) for name in reactions.signal),
    )


def reactions_of(written: ThermalPolicy, why: str) -> list[Action]:
    """What an open breaker does, in this order: work first."""
    reactions = written.on_open
    actions: list[Action] = []
    if works := works_of(reactions):
        actions.append(Hold(works, why))
    if reactions.fan is not None:
        actions.append(HoldFan(reactions.fan, FAN_HOLD_S))
    if reactions.mode is not None:
        actions.append(SetMode(reactions.mode, only_down=True))
    return actions
