"""A device's log as it is written: the journal, the kernel's messages."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, cast

from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widget import Widget
from textual.widgets import Static

from cohete.device.logs import LogLines, explain
from cohete.errors import CoheteError, LinkError
from cohete.fleet.export import write_export
from cohete.links.base import StreamEnd
from cohete.links.commands import LOG_BACKLOG_LINES, Argv, dmesg, journal
from cohete_tui.actions import Scope, bindings
from cohete_tui.commands import Command
from cohete_tui.draw import Line
from cohete_tui.screens.base import FilteredScreen
from cohete_tui.widgets.keybar import KeyBar
from cohete_tui.widgets.lines import LinesPanel
from cohete_tui.widgets.log import LogView
from cohete_tui.widgets.prompt import Prompt

if TYPE_CHECKING:
    from textual.screen import Screen

FLUSH_S = 0.25
AGAIN_S = 3.0
AT_LEAST_S = 60.0
_TIMED_OUT = 124
_PAGE = 20


@dataclass(frozen=True, slots=True)
class Source:
    """A log and the command that prints it; it is given how many old lines to begin with."""

    name: str
    argv: Callable[[int], Argv]


SOURCES = (
    Source("journal", lambda lines: journal(lines)),
    Source("kernel messages", lambda lines: journal(lines, kernel=True)),
    Source("dmesg", dmesg),
)


async def _save(screen: Screen[object], argument: str) -> None:
    if not argument:
        raise CoheteError("save needs a file name", hint="As in :save board.log")
    log = cast("LogScreen", screen)
    path = await asyncio.to_thread(Path(argument).expanduser)
    text = "".join(f"{line}\n" for line in log.lines)
    await asyncio.to_thread(write_export, path, text)
    log.notify(f"{len(log.lines)} lines written to {path}.", timeout=6, markup=False)


class LogScreen(FilteredScreen[None]):
    """Follows as long as it is shown; what was missed while a connection was gone is said."""

    SCOPE = Scope.LOG
    TYPED = (
        Command("save", "FILE", "Write the lines that are held to a file", _save, writes=True),
    )
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(Scope.LOG)]
    CSS = """
    LogScreen { background: $background; }
    LogScreen #note { display: none; height: auto; padding: 0 1; color: $warning;
        background: $panel; }
    LogScreen.-problem #note { display: block; }
    """

    def __init__(self, device_id: str) -> None:
        super().__init__()
        self.device_id = device_id
        self.lines = LogLines()
        self._source = SOURCES[0]

    def compose(self) -> ComposeResult:
        yield LinesPanel(lambda cells: [self._title()], classes="plain")
        yield LogView(self.lines, id="log")
        yield Static("", id="note", markup=False)
        yield Prompt("words to look for; enter goes to them", id="filter", classes="filter")
        yield KeyBar()

    def on_mount(self) -> None:
        self.view.focus()
        self.set_interval(FLUSH_S, self.flush)
        self._follow()

    @property
    def view(self) -> LogView:
        """The lines."""
        return self.query_one(LogView)

    @property
    def list_widget(self) -> Widget:
        return self.view

    def flush(self) -> None:
        """Draw what came since."""
        self.view.update()
        self.query_one(LinesPanel).update()

    @work(exclusive=True, group="log", exit_on_error=False)
    async def _follow(self) -> None:
        source, backlog = self._source, LOG_BACKLOG_LINES
        clock = self._app.store_now.clock
        while True:
            try:
                began_s = clock.monotonic()
                end = await self._one_stream(source, backlog)
                if end.exit_status == _TIMED_OUT:
                    if clock.monotonic() - began_s < AT_LEAST_S:
                        # It says that its time was up long before it was.
                        await clock.sleep(AGAIN_S)
                    backlog = 0
                    self.lines.add([b"--- begun anew: a line or two may be missing ---"])
                    continue
                if end.exit_status is not None:
                    self._say(f"{source.name}: {explain(end.stderr, end.exit_status)}")
                    return
                problem = "the connection was lost"
            except LinkError as error:
                problem = str(error)
            self._say(f"{problem} Trying again.")
            if self.lines.count and backlog:
                backlog = 0
                self.lines.add([b"--- connection lost: what was written since is missing ---"])
            await clock.sleep(AGAIN_S)

    async def _one_stream(self, source: Source, backlog: int) -> StreamEnd:
        device = self._app.store_now[self.device_id]
        stream = await self._app.link_to(device).stream(source.argv(backlog), self.lines.add)
        self._say("")
        try:
            return await stream.wait()
        finally:
            stream.close()

    def _say(self, problem: str) -> None:
        self.set_class(bool(problem), "-problem")
        self.query_one("#note", Static).update(problem)

    def _title(self) -> Line:
        view = self.view
        line: Line = [(f" {self.device_id}", "title"), (f"  {self._source.name}", "")]
        line.append((f"  {len(self.lines)} lines", "dim"))
        line.append(("  following", "good") if view.following else ("  stopped, G follows", "warn"))
        if view.wrap:
            line.append(("  wrapped", "dim"))
        if self.words:
            line.append((f"  /{self.words}", "accent"))
        return line

    def words_changed(self) -> None:
        self.view.search_for(self.words)

    # Actions, in the order of the registry.

    def action_back(self) -> None:
        if not self.clear_words():
            self.dismiss()

    def action_find(self, step: int) -> None:
        if self.words and not self.view.find(self.words, step):
            self.notify("No line has these words.", timeout=3, markup=False)
        self.flush()

    def action_next_source(self) -> None:
        self._source = SOURCES[(SOURCES.index(self._source) + 1) % len(SOURCES)]
        self.lines = LogLines()
        self.view.show(self.lines)
        self._say("")
        self._follow()

    def action_wrap(self) -> None:
        self.view.wrap = not self.view.wrap
        self.view.lay_out()

    def action_follow(self) -> None:
        self.view.following = not self.view.following
        self.view.lay_out()
        self.flush()

    def action_save(self) -> None:
        stamp = datetime.fromtimestamp(self._app.store_now.clock.time())  # noqa: DTZ006 - a name for whoever looks
        self._app.type_command(f"save {self.device_id}-{stamp:%Y%m%d-%H%M%S}.log")

    def action_move(self, lines: int) -> None:
        self.view.move(lines)
        self.flush()

    def action_page(self, step: int) -> None:
        self.action_move(step * max(1, self.view.size.height - 1))

    def action_sideways(self, step: int) -> None:
        self.view.sideways(step)

    def _close_filter(self) -> None:
        super()._close_filter()
        if self.words:
            self.action_find(1)
