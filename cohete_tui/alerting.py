"""Alerts on the terminal: its bell, and its own notifications, where somebody wants them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cohete.text import sanitise

if TYPE_CHECKING:
    from textual.app import App

    from cohete.config.alerts import Alerts
    from cohete.fleet.alerts import Notice

_LIMIT = 200


def ring(app: App[None], settings: Alerts, notice: Notice) -> None:
    """Tell of an alert that began; one that is over makes no noise."""
    if notice.over:
        return
    if settings.bell:
        app.bell()
    driver = app._driver  # noqa: SLF001 - Textual has no other way to a sequence of one's own
    if settings.desktop and driver is not None:
        text = sanitise(f"{notice.alert.device}: {notice.alert.rule.text}", _LIMIT)
        driver.write(f"\x1b]9;{text}\x07")
