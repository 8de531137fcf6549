"""What was done to which board, by whom, and what came of it: the audit log."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widget import Widget

from cohete.control.audit import FILE, UNFINISHED, AuditEntry, read_audit
from cohete.errors import CoheteError
from cohete_tui.actions import Scope, bindings
from cohete_tui.changing import OUTCOME_STYLES
from cohete_tui.draw import Line, fit, wrap
from cohete_tui.screens.base import FilteredScreen
from cohete_tui.widgets.keybar import KeyBar
from cohete_tui.widgets.lines import LinesPanel
from cohete_tui.widgets.prompt import Prompt
from cohete_tui.widgets.rows import RowList

LAST = 2_000
PERIOD_S = 2.0


class AuditScreen(FilteredScreen[None]):
    """Newest first; what is under the cursor is told in full below."""

    SCOPE = Scope.AUDIT
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(Scope.AUDIT)]
    CSS = """
    AuditScreen { background: $background; }
    AuditScreen #about { max-height: 12; }
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._entries: list[AuditEntry] = []
        self._problem = ""
        self._was_read = False
        self._read_stamp = (0, 0)

    @property
    def list_widget(self) -> Widget:
        return self.query_one(RowList)

    def words_changed(self) -> None:
        self.flush()

    def compose(self) -> ComposeResult:
        yield LinesPanel(lambda cells: [self._title()], classes="plain")
        yield RowList(id="rows")
        yield LinesPanel(self._about, title="Change", id="about")
        yield Prompt("words of a device, a change, an outcome", id="filter", classes="filter")
        yield KeyBar()

    def on_mount(self) -> None:
        self.query_one(RowList).focus()
        self.set_interval(PERIOD_S, self._read)
        self._read()

    @work(exclusive=True, group="audit", exit_on_error=False)
    async def _read(self) -> None:
        try:
            stamp = await asyncio.to_thread(_stamp, self._folder)
            if self._was_read and stamp == self._read_stamp:
                return
            self._read_stamp = stamp
            self._entries = await asyncio.to_thread(read_audit, self._folder, last=LAST)
            self._problem = ""
        except CoheteError as error:
            self._problem = str(error)
        self._was_read = True
        self.flush()

    def flush(self) -> None:
        """Draw what was read last."""
        rows = self.query_one(RowList)
        cells = max(20, rows.size.width - 1)
        rows.show([(entry.change, _line(entry, cells)) for entry in self._shown()])
        for panel in self.query(LinesPanel):
            panel.update()

    def _shown(self) -> list[AuditEntry]:
        wanted = self.words.casefold().split()
        return [
            entry
            for entry in reversed(self._entries)
            if all(
                word in f"{entry.device} {entry.intent} {entry.outcome} {entry.who}".casefold()
                for word in wanted
            )
        ]

    def _title(self) -> Line:
        count = f"{len(self._shown())} of {len(self._entries)}"
        return [(" Changes ", "title"), (f" {count}  newest first", "dim")]

    def _about(self, cells: int) -> list[Line]:
        if self._problem:
            return [[(text, "danger")] for text in wrap(self._problem, cells, 4)]
        current = self.query_one(RowList).current
        entry = next((each for each in self._entries if each.change == current), None)
        if entry is None:
            text = "Nothing was changed yet. m on a device shows what can be."
            return [[(text if self._was_read else "Reading …", "dim")]]
        lines: list[Line] = [[(f"{entry.device}: {entry.intent}", "title")]]
        lines += [
            [(text, "accent")] for line in entry.commands for text in wrap(f"$ {line}", cells, 3)
        ]
        if entry.before or entry.found:
            text = f"was {entry.before or 'not known'}, then {entry.found or 'not known'}"
            lines += [[(part, "")] for part in wrap(text, cells, 2)]
        lines += [[(text, "")] for text in wrap(entry.words, cells, 3)]
        return [*lines, [(f"by {entry.who}", "dim")]]

    # Actions, in the order of the registry.

    def action_back(self) -> None:
        if not self.clear_words():
            self.dismiss()

    def action_step(self, step: int) -> None:
        self.query_one(RowList).move(step)
        self.flush()


_STYLES: dict[str, str] = {outcome.value: style for outcome, style in OUTCOME_STYLES.items()}


def _line(entry: AuditEntry, cells: int) -> Line:
    outcome = entry.outcome
    style = "warn" if outcome == UNFINISHED else _STYLES.get(outcome, "")
    room = max(8, cells - 17 - 15 - 22)
    return [
        (fit(_when(entry.at), 17), "dim"),
        (fit(entry.device, 14), ""),
        (" ", ""),
        (fit(entry.intent, room), ""),
        (" ", ""),
        (fit(outcome, 20), style),
    ]


def _stamp(folder: Path) -> tuple[int, int]:
    """Changes whenever a line is added."""
    try:
        found = (folder / FILE).stat()
    except OSError:
        return (0, 0)
    return (found.st_size, found.st_mtime_ns)


def _when(text: str) -> str:
    try:
        return datetime.fromisoformat(text).astimezone().strftime("%d %b %H:%M:%S")
    except ValueError:
        return text
