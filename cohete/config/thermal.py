"""The thermal part of the schema: policies, what moves their limits, what an open breaker does."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from cohete.config.base import Name, Strict, Unit

Celsius = Annotated[float, Field(ge=-40, le=110, allow_inf_nan=False)]


class ThermalLimits(Strict):
    """A threshold, and the temperature to fall to before work goes on."""

    threshold_c: Annotated[float, Field(gt=20, le=105, allow_inf_nan=False)]
    cooldown_c: Annotated[float, Field(gt=0, lt=105, allow_inf_nan=False)]

    @model_validator(mode="after")
    def _hysteresis(self) -> Self:
        if self.cooldown_c >= self.threshold_c:
            raise ValueError(
                f"cooldown_c ({self.cooldown_c:g}) must be below threshold_c ({self.threshold_c:g})"
            )
        return self


class AmbientRule(Strict):
    """How the limits follow the air around a board."""

    temperature_c: Celsius | None = Field(
        default=None,
        description="The air, where it is known; else from a sensor or the idle board.",
    )
    zone: Name | None = Field(default=None, description="A zone that measures the air.")
    idle_rise_c: Annotated[float, Field(ge=0, le=60)] | None = Field(
        default=None, description="By how much an idle board is warmer than the air around it."
    )
    reference_c: Celsius = Field(default=25.0, description="Where the limits are as written.")
    per_c: Annotated[float, Field(ge=0, le=2)] = Field(
        default=0.3, description="The limits fall by this for each degree of warmer air."
    )
    most_c: Annotated[float, Field(ge=0, le=20)] = Field(
        default=5.0, description="They never move by more than this."
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        sources = (self.temperature_c, self.zone, self.idle_rise_c)
        if sum(source is not None for source in sources) != 1:
            raise ValueError("say one of temperature_c, zone and idle_rise_c")
        return self


Process = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.@-]{0,127}$")]


class Reactions(Strict):
    """What is done on a board while its breaker is open. What is held is let go again after."""

    stop: list[Unit] = Field(default=[], description="systemd units to stop.")
    freeze: list[Unit] = Field(default=[], description="systemd units to freeze (cgroup v2).")
    pause: list[Process] = Field(default=[], description="Containers to pause.")
    signal: list[Process] = Field(default=[], description="Programs to stop by a signal.")
    mode: Process | None = Field(default=None, description="Power mode to go to meanwhile.")
    fan: Annotated[int, Field(ge=0, le=255)] | None = Field(
        default=None, description="Speed to hold the fan at meanwhile, 0 to 255."
    )

    @property
    def is_empty(self) -> bool:
        """Whether an open breaker only warns."""
        works = self.stop or self.freeze or self.pause or self.signal
        return not works and self.mode is None and self.fan is None


class ThermalPolicy(ThermalLimits):
    """When to stop work on a hot board, and when to go on."""

    check_interval_ms: Annotated[int, Field(ge=50, le=60_000)]
    warning_margin_c: Annotated[float, Field(ge=0, le=40)] = Field(
        default=5.0, description="A warning begins so far below the threshold."
    )
    modes: dict[Process, ThermalLimits] = Field(
        default={}, description="Other limits by the name of a power mode."
    )
    ambient: AmbientRule | None = Field(default=None)
    on_open: Reactions = Field(
        default_factory=Reactions, description="What an open breaker does; nothing: it warns."
    )
