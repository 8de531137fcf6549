"""Alerts: what is worth telling somebody, and how."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from cohete.config.base import Name, Strict

Duration = Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)]


class AlertRule(Strict):
    """A filter that a device must not meet for long."""

    name: Name
    when: Annotated[str, Field(min_length=1, max_length=500)] = Field(
        description="Terms as typed after / in the dashboard: temp>80 tag:roof."
    )
    level: Literal["warning", "critical"] = "warning"
    for_s: Duration = Field(default=10.0, description="So long before it is an alert.")
    clear_s: Duration = Field(default=30.0, description="So long without it before it is over.")


class Alerts(Strict):
    """Rules, and to whom alerts go. Device names, rule names and values leave this machine only
    with `command` and `webhook`, and only to what is named there.
    """

    built_in: bool = Field(
        default=True, description="Also lost, hot, breaker-open and over-budget boards."
    )
    rules: list[AlertRule] = Field(default=[])
    bell: bool = Field(default=False, description="Ring the terminal's bell.")
    desktop: bool = Field(
        default=False, description="A notification of the terminal, where it knows OSC 9."
    )
    command: list[Annotated[str, Field(min_length=1, max_length=1024)]] = Field(
        default=[], description="A program of yours; it gets the alert as JSON on its input."
    )
    webhook: Annotated[str, Field(pattern=r"^https?://[^\s]{1,1000}$")] | None = Field(
        default=None, description="An address that gets the alert as JSON by POST."
    )

    @field_validator("rules")
    @classmethod
    def _unique(cls, value: list[AlertRule]) -> list[AlertRule]:
        names = [rule.name for rule in value]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two rules are called {name!r}")
        return value
