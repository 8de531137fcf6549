"""Everything that happened: once with its count, newest first, acknowledged by key."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widget import Widget
from textual.widgets import Static

from cohete.fleet.eventlog import Entry, EventLog
from cohete_tui.actions import Scope, bindings
from cohete_tui.draw import Line, fit
from cohete_tui.screens.base import FilteredScreen
from cohete_tui.widgets.keybar import KeyBar
from cohete_tui.widgets.lines import LinesPanel
from cohete_tui.widgets.prompt import Prompt
from cohete_tui.widgets.rows import RowList

if TYPE_CHECKING:
    from cohete.fleet.alerts import Rule, Silence
    from cohete.fleet.store import FleetStore

FLUSH_S = 0.5
SILENCE_S = 3600.0
NOTHING = "Nothing has happened yet. Devices that come, go or are refused are listed here."
NO_MATCH = "No event matches. Press esc to clear the filter."
_KIND_CELLS, _DEVICE_MAX, _TIME_CELLS = 10, 24, 20


class EventsScreen(FilteredScreen[str]):
    """The list, its filter, and what to do about the event under the cursor."""

    SCOPE = Scope.EVENTS
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(Scope.EVENTS)]
    CSS = """
    EventsScreen { background: $background; }
    EventsScreen #nothing { display: none; height: 1fr; padding: 1 2; color: $secondary; }
    EventsScreen.-nothing #nothing { display: block; }
    EventsScreen.-nothing RowList { display: none; }
    EventsScreen #hint { height: 1; padding: 0 1; color: $secondary; background: $panel; }
    """

    def __init__(self, store: FleetStore, log: EventLog, *, timer: bool = True) -> None:
        super().__init__()
        self.store = store
        self._log = log
        self._timer = timer
        self._entries: list[Entry] = []

    def compose(self) -> ComposeResult:
        yield LinesPanel(lambda cells: [self._title(cells)], classes="plain")
        yield Static(NOTHING, id="nothing", markup=False)
        yield RowList(id="rows")
        yield Static("", id="hint", markup=False)
        yield Prompt(
            "words of a device, a kind or the text: all must occur", id="filter", classes="filter"
        )
        yield KeyBar()

    def on_mount(self) -> None:
        self.rows.focus()
        self.call_after_refresh(self.flush)
        if self._timer:
            self.set_interval(FLUSH_S, self.flush)

    @property
    def rows(self) -> RowList:
        """The list."""
        return self.query_one("#rows", RowList)

    @property
    def list_widget(self) -> Widget:
        return self.rows

    def words_changed(self) -> None:
        self.flush()

    @property
    def current(self) -> Entry | None:
        """The entry under the cursor."""
        key = self.rows.current
        return next((entry for entry in self._entries if entry.key == key), None)

    def flush(self) -> None:
        """Draw what happened since."""
        if not self.is_current:
            return
        self._entries = self._log.entries(self.store.events, self.words)
        names = [len(entry.device) for entry in self._entries]
        cells = min(_DEVICE_MAX, max([6, *names]))
        now_s = self.store.clock.time()
        self.rows.show(
            [
                (entry.key, _line(entry, cells, now_s, self._silence(entry)))
                for entry in self._entries
            ]
        )
        self.set_class(not self._entries, "-nothing")
        if not self._entries:
            text = NO_MATCH if self.words else NOTHING
            self.query_one("#nothing", Static).update(text)
        self.query_one(LinesPanel).update()
        entry = self.current
        hint = f"{entry.text}. {entry.hint}" if entry is not None and entry.hint else ""
        self.query_one("#hint", Static).update(hint)

    def _title(self, cells: int) -> Line:
        new = sum(entry.is_trouble and not entry.acknowledged for entry in self._entries)
        line: Line = [(" Events", "title"), (f"  {len(self._entries)}", "dim")]
        alerts = self._app.alerts
        if alerts is not None and alerts.book.firing:
            line.append((f"  {len(alerts.book.firing)} alerts now", "warn"))
        if new:
            line.append((f"  {new} new", "danger"))
        if self.words:
            line.append((f"  /{self.words}", "accent"))
        return line

    def _rule(self, entry: Entry) -> Rule | None:
        """The rule that told this event; None where it is no alert."""
        alerts = self._app.alerts
        return alerts.book.rule_told(entry.text) if alerts and entry.kind == "alert" else None

    def _silence(self, entry: Entry) -> Silence | None:
        alerts, rule = self._app.alerts, self._rule(entry)
        return alerts.silenced(rule, entry.device) if alerts and rule else None

    # Actions, in the order of the registry.

    def action_back(self) -> None:
        if not self.clear_words():
            self.dismiss("")

    async def action_open(self) -> None:
        """To the device, and in a recording to the moment."""
        entry = self.current
        if entry is None:
            return
        app = self._app
        if app.player is not None:
            await app.seek(int(entry.last_s * 1000))
        if entry.device in self.store:
            self.dismiss(entry.device)

    def action_acknowledge(self) -> None:
        entry = self.current
        if entry is not None:
            self._log.acknowledge(self.store.events, [entry.key])
            self.rows.move(1)
            self.flush()

    def action_acknowledge_all(self) -> None:
        self._log.acknowledge(self.store.events, [entry.key for entry in self._entries])
        self.flush()

    async def action_silence(self, scope: str) -> None:
        """The alert under the cursor for an hour, on its device or on every one; again ends it."""
        entry = self.current
        rule = self._rule(entry) if entry is not None else None
        alerts = self._app.alerts
        if entry is None or rule is None or alerts is None:
            text = "Only an alert can be silenced: the event under the cursor is none."
            self.notify(text, severity="warning", markup=False)
            return
        device = entry.device if scope == "device" else ""
        who = device or "every device"
        is_on = alerts.is_silenced(rule.name, device)
        try:
            await alerts.silence(rule.name, device, 0.0 if is_on else SILENCE_S)
        except OSError as error:
            text = f"The silence could not be kept: {error.strerror or error}."
            self.notify(text, severity="error", markup=False)
            return
        words = "is told again" if is_on else "is not told for an hour"
        self.notify(f"{rule.name} {words} on {who}.", markup=False)
        self.flush()

    def action_step(self, step: int) -> None:
        self.rows.move(step)
        self.flush()

    @on(RowList.Opened)
    async def _opened(self) -> None:
        await self.action_open()


def _line(entry: Entry, device_cells: int, now_s: float, silence: Silence | None) -> Line:
    """`14:02:11  lost      cam-01   no route to host   3 times since 13:40:02`."""
    style = "" if not entry.is_trouble else "dim" if entry.acknowledged else "danger"
    sign = " " if not entry.is_trouble else "✓" if entry.acknowledged else "●"
    line: Line = [
        (f" {sign} ", style),
        (fit(_clock(entry.last_s, now_s), _TIME_CELLS - 11), "dim"),
        (f" {fit(entry.kind, _KIND_CELLS)} ", style or "good"),
        (f"{fit(entry.device or 'fleet', device_cells)}  ", style or "title"),
        (entry.text, "dim" if entry.acknowledged else ""),
    ]
    if entry.count > 1:
        line.append((f"  {entry.count} times since {_clock(entry.first_s, now_s)}", "dim"))
    if silence is not None:
        line.append((f"  silenced until {_clock(silence.until_s, now_s)}", "warn"))
    return line


def _clock(wall_s: float, now_s: float) -> str:
    """The time of the day; with the date where it was not within a day."""
    form = "%H:%M:%S" if abs(now_s - wall_s) < 86_400 else "%d %b %H:%M"
    return datetime.fromtimestamp(wall_s).strftime(form)  # noqa: DTZ006 - the wall clock of whoever looks
