"""Boards on USB, in the local network, and where ssh goes: found while one looks."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.screen import Screen

from cohete.device.discovery.found import Found, Kind
from cohete.errors import CoheteError
from cohete_tui.actions import Scope, bindings
from cohete_tui.draw import Line, fit, wrap
from cohete_tui.widgets.keybar import KeyBar
from cohete_tui.widgets.lines import LinesPanel
from cohete_tui.widgets.rows import RowList

if TYPE_CHECKING:
    from cohete.device.discovery.search import Search, Wanted

LISTEN_S = 10.0
DRAW_S = 0.25
_KINDS = {
    Kind.BOARD: ("Jetson", "good"),
    Kind.RECOVERY: ("in recovery", "warn"),
    Kind.CANDIDATE: ("SSH server", "dim"),
}


class DiscoverScreen(Screen[str]):
    """Dismissed with the target to connect to; empty where none was chosen."""

    SCOPE = Scope.DISCOVER
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(Scope.DISCOVER)]
    CSS = """
    DiscoverScreen { background: $background; }
    DiscoverScreen #about { max-height: 10; }
    """

    def __init__(self, wanted: Wanted | None = None) -> None:
        super().__init__()
        self._wanted = wanted
        self._search: Search | None = None
        self._is_over = False
        self._problem = ""

    def compose(self) -> ComposeResult:
        yield LinesPanel(lambda cells: [self._title()], classes="plain")
        yield RowList(id="rows")
        yield LinesPanel(self._about, title="Board", id="about")
        yield KeyBar()

    def on_mount(self) -> None:
        self.query_one(RowList).focus()
        self.set_interval(DRAW_S, self.flush)
        self.action_search()

    @work(exclusive=True, group="discover", exit_on_error=False)
    async def _look(self) -> None:
        from cohete.clock import SystemClock
        from cohete.device.discovery.search import Search

        self._is_over, self._problem = False, ""
        if self._wanted is None:
            self._wanted = await asyncio.to_thread(_everything)
        self._search = Search(self._wanted, SystemClock())
        try:
            await self._search.run()
        except* CoheteError as errors:
            self._problem = str(errors.exceptions[0])
        self._is_over = True
        self.flush()

    @property
    def _found(self) -> list[Found]:
        return self._search.found if self._search is not None else []

    def flush(self) -> None:
        """Draw what was found so far."""
        if not self.is_current:
            return
        rows = self.query_one(RowList)
        cells = max(30, rows.size.width - 1)
        rows.show([(each.identity, _line(each, cells)) for each in self._found])
        for panel in self.query(LinesPanel):
            panel.update()

    def _title(self) -> Line:
        search = self._search
        tried = f", {search.tried} of {search.to_try} hosts tried" if search is not None else ""
        state = "searched" if self._is_over else "searching …"
        return [(" Boards ", "title"), (f" {len(self._found)} found, {state}{tried}", "dim")]

    def _current(self) -> Found | None:
        current = self.query_one(RowList).current
        return next((each for each in self._found if each.identity == current), None)

    def _about(self, cells: int) -> list[Line]:
        search = self._search
        notes = [self._problem] if self._problem else []
        notes += search.notes if search is not None else []
        lines: list[Line] = [[(part, "warn")] for note in notes for part in wrap(note, cells, 2)]
        found = self._current()
        if found is None:
            text = "Nothing yet. On USB-C it takes a cable for data, in the network an SSH server."
            return lines + [[(part, "dim")] for part in wrap(text, cells, 3)]
        places = [
            str(address) if address.is_open else f"{address} (no answer)"
            for address in found.addresses
        ]
        for label, text in (
            ("seen by", ", ".join(found.ways)),
            ("addresses", ", ".join(places) or "none"),
            ("host key", found.host_key),
            ("console", found.console),
        ):
            lines += [[(part, "")] for part in wrap(f"{label} {text}", cells, 2) if text]
        return lines + [[(part, "warn")] for note in found.notes for part in wrap(note, cells, 3)]

    # Actions, in the order of the registry.

    def action_back(self) -> None:
        self.dismiss("")

    def action_choose(self) -> None:
        found = self._current()
        if found is None:
            return
        if found.kind is Kind.RECOVERY or not found.target:
            why = "waits to be flashed" if found.kind is Kind.RECOVERY else "has no address"
            self.notify(f"{found.name or 'It'} {why}: it cannot be connected to.",
                        severity="warning", markup=False)  # fmt: skip
            return
        self.dismiss(found.target)

    @work(exclusive=True, group="console", exit_on_error=False)
    async def action_console(self) -> None:
        """In this terminal, as a shell is; ctrl+] comes back."""
        from cohete_tui.shell import run_in_terminal

        found = self._current()
        if found is None or not found.console:
            self.notify("It has no serial console here.", timeout=4, markup=False)
            return
        argv = [sys.executable, "-P", "-m", "cohete", "console", found.console]
        try:
            await run_in_terminal(self.app, argv, f"The console {found.console}.")
        except CoheteError as error:
            self.notify(str(error), severity="error", markup=False)

    def action_search(self) -> None:
        self._look()

    def action_step(self, step: int) -> None:
        self.query_one(RowList).move(step)
        self.flush()

    @on(RowList.Opened)
    def _opened(self) -> None:
        self.action_choose()


def _line(found: Found, cells: int) -> Line:
    words, style = _KINDS[found.kind]
    room = max(10, cells - 14 - 20)
    return [
        (fit(words, 13), style),
        (" ", ""),
        (fit(found.name or "no name", 19), "" if found.name else "dim"),
        (" ", ""),
        (fit(", ".join(map(str, found.addresses)) or "no address", room), ""),
    ]


def _everything() -> Wanted:
    """USB, announcements, and what ssh knows: nothing that nobody asked for."""
    from cohete.control.audit import default_folder
    from cohete.device.discovery.search import Wanted

    own = Path.home() / ".ssh"
    return Wanted(
        ssh_config=own / "config",
        known_hosts=own / "known_hosts",
        state_folder=default_folder(),
        for_s=LISTEN_S,
    )
