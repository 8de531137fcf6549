"""Power profiles that boards switch to by themselves: on a battery, when idle, at night."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from cohete.config.base import Name, Strict

Duration = Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)]


class Switch(Strict):
    """A profile for as long as a filter holds."""

    when: Annotated[str, Field(min_length=1, max_length=500)] = Field(
        description="Terms as typed after /: is:on-battery, or gpu<5 cpu<10."
    )
    profile: Name = Field(description="A power profile to switch to.")
    back: Name | None = Field(
        default=None, description="And back to; else the device's power_profile, else balanced."
    )
    for_s: Duration = Field(default=60.0, description="So long before it switches.")
    back_after_s: Duration = Field(default=0.0, description="So long without before it goes back.")
