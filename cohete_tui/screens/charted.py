"""What screens with charts share: the stretch of time, its events, memory and disk behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from textual import work
from textual.screen import ScreenResultType

from cohete.fleet.state import State
from cohete.fleet.words import span
from cohete_tui.screens.base import DeviceActions
from cohete_tui.widgets.charts import HistoryChart, Shown
from cohete_tui.window import POINTS, Points, Window, ago, from_disk, from_memory

if TYPE_CHECKING:
    from cohete.fleet.state import Device
    from cohete.fleet.store import FleetStore

DISK_S = 10.0
"""How often the disk is asked again for a stretch that goes on."""

CHART_S = 1.0
_MAX_EVENT_TICKS = 20


class ChartedScreen(DeviceActions[ScreenResultType]):
    """Charts of one device or of several over one stretch of time."""

    def __init__(self, store: FleetStore) -> None:
        super().__init__()
        self.store = store
        self._window = Window()
        self._kept: dict[str, Points] = {}
        self._charted_at = 0.0
        self._asked_at = -DISK_S

    @property
    def subjects(self) -> Sequence[Device]:
        """Whose past is drawn."""
        raise NotImplementedError

    def draw_charts_in_turn(self) -> None:
        """Once a second."""
        now_s = self.store.clock.monotonic()
        if now_s - self._charted_at >= CHART_S:
            self._charted_at = now_s
            self._draw_charts(now_s)

    def forget_charts(self) -> None:
        """Other devices, or another moment of a recording: nothing that was drawn holds."""
        self._kept = {}
        self._asked_at = -DISK_S
        self._charted_at = 0.0

    def _draw_charts(self, now_s: float) -> None:
        window = self._window
        if window.needs_disk and now_s - self._asked_at >= DISK_S:
            self._asked_at = now_s
            self._ask_disk()
        now_wall_s = self.store.clock.time()
        names = {device.id for device in self.subjects}
        events = tuple(
            event.wall_s - now_wall_s
            for event in self.store.events
            if event.device in names
            and -window.back_s - window.span_s <= event.wall_s - now_wall_s <= -window.back_s
        )
        points = {
            device.id: self._kept.get(device.id) or from_memory(device, now_s, window)
            for device in self.subjects
        }
        shown = Shown(window, points, events[-_MAX_EVENT_TICKS:], self._note(now_s), self._levels())
        for chart in self.query(HistoryChart):
            chart.draw(shown)

    def _levels(self) -> dict[str, tuple[tuple[float, str], ...]]:
        """What is drawn across the charts of one device: its limits and its budget."""
        if len(self.subjects) != 1:
            return {}
        device = self.subjects[0]
        breaker = self._app.breaker_of(device)
        heat: list[tuple[float, str]] = []
        if breaker is not None:
            limits = breaker.limits
            heat = [(limits.threshold_c, "error"), (limits.cooldown_c, "success")]
        module = device.facts.module if device.facts else None
        if module is not None and module.throttle_c is not None:
            heat.append((module.throttle_c, "warning"))
        found = {"Temperature": tuple(heat)}
        budget_mb, stats = device.spec.memory_budget_mb, device.stats
        if budget_mb and stats is not None and stats.ram_total_mb:
            found["Memory"] = ((100 * budget_mb / stats.ram_total_mb, "error"),)
        return found

    def _note(self, now_s: float) -> str:
        """What the values in the titles are: read at a moment, of the past, or old."""
        window = self._window
        if window.cross_s is not None:
            wall_s = self.store.clock.time() - window.cross_s
            return datetime.fromtimestamp(wall_s).strftime("%d %b %H:%M:%S")  # noqa: DTZ006 - the wall clock of whoever looks
        if window.back_s:
            return ago(window.back_s)
        if len(self.subjects) != 1 or self.subjects[0].state is State.LIVE:
            return ""
        age_s = self.subjects[0].age_s(now_s)
        return "" if age_s is None else f"{span(age_s)} ago"

    @work(exclusive=True, group="past", exit_on_error=False)
    async def _ask_disk(self) -> None:
        """Fetch what was kept; the charts show it as soon as it is there."""
        window, devices = self._window, tuple(self.subjects)
        now_ms = int(self.store.clock.time() * 1000)
        from_ms = now_ms - int((window.back_s + window.span_s) * 1000)
        to_ms = now_ms - int(window.back_s * 1000) + 1000
        step_ms = max(1000, int(window.span_s * 1000 / POINTS))
        found = await asyncio.gather(
            *(self._app.past(device.id, from_ms, to_ms, step_ms) for device in devices)
        )
        if window != self._window or devices != tuple(self.subjects):
            return
        for device, past in zip(devices, found, strict=True):
            if past is not None:
                total_mb = device.stats.ram_total_mb if device.stats is not None else None
                self._kept[device.id] = from_disk(past, now_ms, total_mb)
        self._draw_charts(self.store.clock.monotonic())

    def _look_at(self, window: Window) -> None:
        moved = (window.span_s, window.back_s) != (self._window.span_s, self._window.back_s)
        self._window = window
        if moved or not window.needs_disk:
            self._kept = {}
            self._asked_at = -DISK_S
        self._draw_charts(self.store.clock.monotonic())

    # Actions, in the order of the registry.

    def action_zoom(self, step: int) -> None:
        self._look_at(self._window.zoom(step))
        self.notify(f"Charts show {ago(self._window.span_s)[1:]}.", timeout=2, markup=False)

    def action_pan(self, step: int) -> None:
        self._look_at(self._window.pan(step))

    def action_cross(self, step: int) -> None:
        self._look_at(self._window.cross(step))

    def action_now(self) -> None:
        self._look_at(Window(self._window.span_s))
