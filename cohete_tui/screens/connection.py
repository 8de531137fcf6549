"""How a device is reached, why it is not, and every try."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType

from cohete.fleet.state import Device, State
from cohete.fleet.words import span
from cohete_tui.actions import Scope, bindings
from cohete_tui.draw import Line, fit, wrap
from cohete_tui.screens.base import CoheteScreen
from cohete_tui.tiles import state_span
from cohete_tui.widgets.keybar import KeyBar
from cohete_tui.widgets.lines import LinesPanel
from cohete_tui.widgets.scroll import Scroll

FLUSH_S = 0.5
_LABEL = 13


class ConnectionScreen(CoheteScreen[None]):
    """State and reason, way and key, tries and what was said about it."""

    SCOPE = Scope.CONNECTION
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(Scope.CONNECTION)]
    CSS = """
    ConnectionScreen { background: $background; }
    ConnectionScreen Scroll { height: 1fr; scrollbar-size-vertical: 1; }
    """

    def __init__(self, device_id: str) -> None:
        super().__init__()
        self.device_id = device_id

    @property
    def device(self) -> Device:
        """The device that is looked at."""
        return self._app.store_now[self.device_id]

    def compose(self) -> ComposeResult:
        yield LinesPanel(
            lambda cells: [[(f" {self.device_id}", "title"), ("  connection", "")]], classes="plain"
        )
        with Scroll(can_focus=True):
            yield LinesPanel(self._state, title="State")
            yield LinesPanel(self._way, title="Way")
            yield LinesPanel(self._tries, title="Tries")
            yield LinesPanel(self._events, title="What happened")
        yield KeyBar()

    def on_mount(self) -> None:
        self.query_one(Scroll).focus()
        self.set_interval(FLUSH_S, self.flush)

    def flush(self) -> None:
        """Draw what is so now."""
        for panel in self.query(LinesPanel):
            panel.update()

    def _state(self, cells: int) -> list[Line]:
        device = self.device
        now_s = self._app.store_now.clock.monotonic()
        lines: list[Line] = [
            [*state_span(device, now_s), (f"  for {span(now_s - device.since)}", "dim")]
        ]
        lines += [[(text, "danger")] for text in wrap(device.error, cells, 4) if device.error]
        lines += [[(text, "")] for text in wrap(device.hint, cells, 4) if device.hint]
        if device.next_try_at is not None:
            lines.append([(f"tried again in {span(max(0.0, device.next_try_at - now_s))}", "")])
            lines.append([("c tries now", "dim")])
        if device.state is State.REFUSED:
            lines.append([("Nothing is tried until you act: c.", "warn")])
        age_s = device.age_s(now_s)
        said = "never" if age_s is None else f"{span(age_s)} ago"
        lines.append([(f"{'last sample':{_LABEL}}", "dim"), (said, "")])
        if device.noise_lines or device.dropped_lines:
            text = f"{device.noise_lines} no samples, {device.dropped_lines} old after an outage"
            lines.append([(f"{'lines':{_LABEL}}", "dim"), (text, "")])
        return lines

    def _way(self, cells: int) -> list[Line]:
        device = self.device
        spec = device.spec
        rows = [("reached by", device.description), ("target", str(spec.target))]
        if spec.jumps:
            rows.append(("through", ", ".join(map(str, spec.jumps))))
        if spec.identity_file:
            rows.append(("key file", spec.identity_file))
        rows.append(("host key", device.fingerprint or "not seen yet"))
        rows.append(("samples", f"each {spec.interval_ms} ms, {device.samples} so far"))
        root = "yes" if device.with_root else device.sudo_note or "no"
        rows.append(("with root", root))
        room = max(4, cells - _LABEL)
        return [
            [(f"{label if not nth else '':{_LABEL}}", "dim"), (part, "")]
            for label, text in rows
            for nth, part in enumerate(wrap(text, room, 3))
        ]

    def _tries(self, cells: int) -> list[Line]:
        if not self.device.tries:
            recorded = (
                "A recording does not hold them." if self._app.player is not None else "None yet."
            )
            return [[(recorded, "dim")]]
        lines: list[Line] = []
        for each in reversed(self.device.tries):
            at = datetime.fromtimestamp(each.wall_s).strftime("%d %b %H:%M:%S")  # noqa: DTZ006 - the wall clock of whoever looks
            text = each.error or "connected"
            lines.append(
                [
                    (f"{at}  ", "dim"),
                    (f"{span(each.took_s):>5}  ", "dim"),
                    (fit(text, max(4, cells - 24)), "danger" if each.error else "good"),
                ]
            )
        return lines

    def _events(self, cells: int) -> list[Line]:
        found = [event for event in self._app.store_now.events if event.device == self.device_id]
        if not found:
            return [[("Nothing yet.", "dim")]]
        return [
            [
                (f"{datetime.fromtimestamp(event.wall_s):%d %b %H:%M:%S}  ", "dim"),  # noqa: DTZ006 - the wall clock of whoever looks
                (fit(event.kind, 10), "dim"),
                (fit(event.text, max(4, cells - 27)), ""),
            ]
            for event in reversed(found[-30:])
        ]

    # Actions, in the order of the registry.

    def action_back(self) -> None:
        self.dismiss()

    def action_connect(self) -> None:
        self._app.connect(self.device)

    def action_scroll(self, lines: int) -> None:
        self.query_one(Scroll).scroll_relative(y=lines, animate=False, immediate=True)
