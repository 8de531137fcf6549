"""Limits a board is kept below, and the steps that keep it there."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from cohete.config.base import Strict, Unit

Word = Annotated[str, Field(min_length=1, max_length=1024)]
Mode = Annotated[str, Field(pattern=r"^(@default|@least|[A-Za-z0-9_.-]{1,48})$")]
Seconds = Annotated[float, Field(ge=1, le=86_400, allow_inf_nan=False)]


class LimitStep(Strict):
    """One step: exactly one of these. `back` undoes `run`."""

    run: list[Word] = Field(default=[], description="A command of yours on the board.")
    back: list[Word] = Field(default=[], description="Run when the step is taken back.")
    mode: Mode | None = Field(
        default=None, description="Power mode to go to: by name, or @default, @least."
    )
    clocks: Literal["free"] | None = Field(default=None, description="Let locked clocks go.")
    free_memory: bool = Field(default=False, description="Drop caches and compact memory.")
    restart: Unit | None = Field(default=None, description="systemd unit to restart.")
    stop: Unit | None = Field(default=None, description="systemd unit to stop, and start again.")
    warn: Annotated[str, Field(max_length=200)] = Field(
        default="", description="Only tell this; nothing is done."
    )

    @model_validator(mode="after")
    def _one(self) -> Self:
        kinds = (
            self.run, self.mode, self.clocks, self.free_memory, self.restart, self.stop, self.warn
        )  # fmt: skip
        if sum(bool(kind) for kind in kinds) != 1:
            raise ValueError(
                "a step is one of run, mode, clocks, free_memory, restart, stop and warn"
            )
        if self.back and not self.run:
            raise ValueError("back belongs to run")
        return self


class Limit(Strict):
    """What must stay below `most`, and what is done about it, one step at a time."""

    metric: Literal["power_w", "ram_percent", "temperature_c", "memory_pressure"] = Field(
        description="memory_pressure is 0, 1 (warning) or 2 (critical): swapping, stalls, "
        "fragments, and the time until memory is exhausted."
    )
    most: Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)] = Field(
        description="The mean over the window at which a step is taken."
    )
    low: Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)] = Field(
        description="The mean from which a step may be taken back."
    )
    window_s: Seconds = Field(default=30.0, description="The mean is over so long.")
    settle_s: Seconds = Field(default=30.0, description="Nothing is decided so long after a step.")
    up_after_s: Seconds = Field(default=120.0, description="It has to stay low for so long.")
    retry_after_s: Seconds = Field(
        default=3600.0, description="What had to be taken again is not given back for so long."
    )
    steps: Annotated[list[LimitStep], Field(min_length=1, max_length=16)]

    @model_validator(mode="after")
    def _hysteresis(self) -> Self:
        if self.low >= self.most:
            raise ValueError(f"low ({self.low:g}) must be below most ({self.most:g})")
        return self


def _softest_first() -> list[LimitStep]:
    return [LimitStep(clocks="free"), LimitStep(mode="@least")]


class Budget(Strict):
    """Power of a board kept below so many watts as long as it has the profile."""

    most_w: Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)] = Field(
        description="The mean over the window at which a step is taken."
    )
    low_w: Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)] | None = Field(
        default=None, description="The mean from which one is taken back; else 85 % of most_w."
    )
    window_s: Seconds = Field(default=30.0, description="The mean is over so long.")
    steps: Annotated[list[LimitStep], Field(min_length=1, max_length=16)] = Field(
        default_factory=_softest_first,
        description="As those of a limit; else clocks are let go, then the mode of fewest watts.",
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        _ = self.limit
        return self

    @property
    def limit(self) -> Limit:
        """The same as a limit."""
        low_w = 0.85 * self.most_w if self.low_w is None else self.low_w
        return Limit(
            metric="power_w", most=self.most_w, low=low_w, window_s=self.window_s, steps=self.steps
        )
