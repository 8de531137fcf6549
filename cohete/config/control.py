"""How boards are changed and powered: the part of the schema that acts."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from cohete.config.base import Name, Strict, Unit
from cohete.config.limits import Budget, Word
from cohete.config.thermal import Process

WatchedFile = Annotated[str, Field(pattern=r"^/[A-Za-z0-9._/@+-]{1,254}$")]


class Rollout(Strict):
    """One change on many boards."""

    at_once: Annotated[int, Field(ge=1, le=512)] = Field(
        default=8, description="Boards that are changed, so perhaps away, at the same time."
    )
    canary: Annotated[int, Field(ge=0, le=64)] = Field(
        default=1, description="So many first and alone; the others only when these are well."
    )
    stop_after: Annotated[int, Field(ge=1, le=100_000)] = Field(
        default=1, description="Begin no further board once so many have failed."
    )
    stop_share: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] | None = Field(
        default=None, description="The same as a share of all boards; replaces stop_after."
    )
    window: Annotated[str, Field(pattern=r"^\d\d:\d\d-\d\d:\d\d$")] | None = Field(
        default=None, description="Begin boards only in this time of the day, as in 22:00-05:30."
    )

    @field_validator("window")
    @classmethod
    def _times(cls, value: str | None) -> str | None:
        for part in value.split("-") if value else ():
            hour, _, minute = part.partition(":")
            if int(hour) > 23 or int(minute) > 59:
                raise ValueError(f"{part} is no time of the day")
        return value


class Control(Strict):
    """How boards are changed."""

    read_only: bool = Field(default=False, description="Refuse every change to every board.")
    drain: list[Unit] = Field(
        default=[], description="systemd units stopped before a reboot and started after it."
    )
    finish: Annotated[list[Word], Field(max_length=32)] = Field(
        default=[],
        description="A command of yours on the board, before those units are stopped: it takes the "
        "board out of service and ends with 0 once no request is under way, within 15 min.",
    )
    rollout: Rollout = Field(default_factory=Rollout)
    watch_files: Annotated[list[WatchedFile], Field(max_length=64)] = Field(
        default=[], description="Files that `cohete drift` compares besides those it always does."
    )


class PowerProfile(Strict):
    """Mode, clocks, fan and budget as one wish; what is left out stays as it is."""

    mode: (
        Annotated[str, Field(pattern=r"^(@most|@default|@least|[A-Za-z0-9_.-]{1,48})$")] | None
    ) = Field(default=None, description="A mode by name, or @most, @default, @least.")
    clocks: Literal["locked", "free"] | None = Field(default=None)
    fan: Annotated[int, Field(ge=0, le=255)] | Process | None = Field(
        default=None, description="0 to 255 (held for 8 h), auto, or a profile: quiet, cool."
    )
    budget: Budget | None = Field(
        default=None,
        description="Watts a device with this power_profile is kept below, and a switched one.",
    )


class Power(Strict):
    """How boards are powered."""

    profiles: dict[Name, PowerProfile] = Field(
        default={},
        description="By name; max_performance, balanced and power_saver always exist.",
    )


BUILT_IN_POWER = ("max_performance", "balanced", "power_saver")
