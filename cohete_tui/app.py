"""The application: owns the running fleet, pushes screens, leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import termios
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from platformdirs import user_state_path
from textual import work
from textual.app import SystemCommand
from textual.binding import Binding, BindingType
from textual.filter import LineFilter
from textual.screen import Screen

from cohete.errors import CoheteError
from cohete.fleet.eventlog import EventLog
from cohete.text import sanitise
from cohete_tui import themes
from cohete_tui.actions import (
    Action,
    Scope,
    bindings,
    in_scope,
    key_names,
)
from cohete_tui.app_commands import APP_COMMANDS
from cohete_tui.ascii import AsciiFilter
from cohete_tui.commands import Choice, choices, find, one_of, typed_on
from cohete_tui.launch import Launch
from cohete_tui.opening_app import OpeningApp
from cohete_tui.quantizing import JobState
from cohete_tui.replay_app import Session
from cohete_tui.screens.start import StartScreen
from cohete_tui.sparing import FORGET_S, forget_cut_segments
from cohete_tui.typed import TypedLines
from cohete_tui.widgets.paint import PAINT_CLASSES, PAINT_CSS

if TYPE_CHECKING:
    from cohete.fleet.state import Device


_TO_ASCII = AsciiFilter()
EXIT_S = 20.0
"""After a signal to end, how long leaving may take."""
QUITS_WITHIN_S = 10.0
"""How long a second `q` ends what is being made too."""

THEMES_S = 1.0
"""How often a person's folder of themes is looked at."""


class CoheteApp(OpeningApp, inherit_bindings=False):
    """The dashboard."""

    TITLE = "cohete"
    # A notice leaves free what stands above the line where commands are typed.
    CSS = f"{PAINT_CSS}\nToastRack {{ margin-bottom: 2; }}"
    COMPONENT_CLASSES: ClassVar[set[str]] = PAINT_CLASSES
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(Scope.EVERYWHERE)]
    TYPED = APP_COMMANDS

    def __init__(
        self, launch: Launch, *, session: Session | None = None, timer: bool = True
    ) -> None:
        super().__init__(launch, session, timer=timer)
        self.event_log = EventLog()
        self._quits_anyway = False
        self._typed = TypedLines(None if launch.served else user_state_path("cohete") / "typed")
        self.looks = launch.looks
        self.own_themes = themes.built_in()
        for theme in self.own_themes:
            self.register_theme(theme)
        self.theme = themes.DEFAULT

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """For themes that do not name them: our own colour roles."""
        theme = self.current_theme
        return {
            "track": "#808080",
            "border": "#808080",
            "row-cursor": theme.panel or theme.primary,
            "row-cursor-text": theme.foreground or "#ffffff",
        }

    def get_line_filters(self) -> Sequence[LineFilter]:
        """What is done to every line on its way to the terminal."""
        filters = super().get_line_filters()
        return [*filters, _TO_ASCII] if self.looks.ascii else filters

    def refresh_css(self, animate: bool = True) -> None:
        """Also what is painted changes its colours, though no style of its widget did."""
        super().refresh_css(animate)
        for screen in self.screen_stack:
            for widget in screen.walk_children():
                widget.notify_style_update()
                widget.refresh()

    def get_key_display(self, binding: Binding) -> str:
        """A key as it stands in the footer."""
        shown = super().get_key_display(binding)
        return shown if shown.isascii() or not self.looks.ascii else binding.key

    def keys_of(self, action: Action) -> str:
        """The keys of an action as they are now, as they stand on a keyboard."""
        return key_names(self.looks.keys.get(action.id, action.keys))

    async def on_mount(self) -> None:
        # Where uvloop is not installed: from Python 3.12 Textual makes tasks eager, and a login of
        # asyncssh 2.24 hangs with those.
        asyncio.get_running_loop().set_task_factory(None)
        self.set_keymap(self.looks.keys)
        await self._look_for_themes()
        await self._typed.read()
        if self.looks.theme:
            self.use_theme(self.looks.theme)
        if self._timer:
            self.set_interval(FORGET_S, forget_cut_segments)
            if self.looks.themes is not None:
                self.set_interval(THEMES_S, self._look_for_themes)
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
                asyncio.get_running_loop().add_signal_handler(number, self._on_signal, number)
        if self._launch.model is not None and self._launch.plan is None:
            self.show_wizard(model=self._launch.model)
        elif self._session is not None:
            self._show_fleet(self._session)
        elif self._launch.plan is not None or self._launch.demo or self._launch.replay:
            self.call_after_refresh(self._begin, self._launch)
        else:
            self.push_screen(StartScreen())

    async def _look_for_themes(self) -> None:
        """Take a person's own themes as they are in their folder now."""
        if self.looks.themes is None:
            return
        found, problems = await asyncio.to_thread(self.looks.themes.changed)
        for theme in found:
            self.own_themes = [own for own in self.own_themes if own.name != theme.name]
            self.own_themes.append(theme)
            self.register_theme(theme)
            if theme.name == self.theme:
                self.refresh_css()
        for problem in problems:
            self.show_error(problem)

    def use_theme(self, name: str) -> None:
        """Change the colours; says so where there is no such theme."""
        try:
            self.theme = one_of(name, {own.name: own.name for own in self.own_themes}, "theme")
        except CoheteError as error:
            self.show_error(error)

    async def on_unmount(self) -> None:
        await self.recordings.stop()
        if self.quantizing is not None:
            await self.quantizing.stop()
        if self._session is not None:
            await self._session.stop()

    @work(exit_on_error=False, exclusive=True, group="events")
    async def show_events(self) -> None:
        """The list of events; whoever picks one comes to its device."""
        from cohete_tui.screens.device import DeviceScreen
        from cohete_tui.screens.events import EventsScreen

        assert self._session is not None
        beneath = self.screen
        screen = EventsScreen(self._session.store, self.event_log, timer=self._timer)
        device_id = await self.push_screen_wait(screen)
        if not device_id:
            return
        if isinstance(beneath, DeviceScreen):
            beneath.show_device(device_id)
        else:
            getattr(beneath, "open_device", lambda device_id: None)(device_id)

    def show_audit(self) -> None:
        """What was done to the boards, by this Cohete and others of this user."""
        from cohete.control.audit import default_folder
        from cohete_tui.screens.audit import AuditScreen

        folder = self.changes.folder if self.changes is not None else default_folder()
        self.push_screen(AuditScreen(folder))

    def connect(self, device: Device) -> None:
        """Try a device again now; where its key is unknown, ask about it first."""
        if self._session is not None:
            # Whoever looks at a kept moment still means the device as it is.
            device = self._session.store[device.id]
        if self.player is not None:
            self.notify("This is a recording.", timeout=3, markup=False)
        elif device.key_line:
            self.ask_about_keys([device])
        elif not device.spec.enabled:
            self.notify(f"{device.id} is disabled in the configuration.", timeout=4, markup=False)
        elif device.state.is_up:
            self.notify(f"{device.id} is connected.", timeout=3, markup=False)
        elif self._session is not None:
            self._session.retry(device.id)
            self.notify(f"Trying {device.id} now.", timeout=3, markup=False)

    @work(exit_on_error=False)
    async def ask_about_keys(self, devices: Sequence[Device]) -> None:
        """Show the keys of hosts that were never seen; connect to those a person trusts."""
        from cohete_tui.screens.host_keys import HostKeyDialog

        if self.served:
            return
        if not await self.push_screen_wait(HostKeyDialog(devices)) or self._session is None:
            return
        for device in devices:
            try:
                await self._session.accept_key(device)
            except CoheteError as error:
                self.show_error(error)
                return

    @work(exit_on_error=False)
    async def open_shell(self, device: Device) -> None:
        """A shell on a device in this terminal; the dashboard comes back when it ends."""
        from cohete_tui.shell import SSH_FAILED, run_in_terminal

        assert self._session is not None
        if self.is_refused_here("A shell"):
            return
        try:
            argv = self._session.shell_argv(device)
            await run_in_terminal(
                self, argv, f"A shell on {device.id}; `exit` comes back.",
                is_failure=lambda status: status == SSH_FAILED,
            )  # fmt: skip
        except CoheteError as error:
            self.show_error(error)

    def type_command(self, text: str = "") -> None:
        """Ask for a command line, beginning with `text`, and run it on the screen beneath."""
        from cohete_tui.screens.command_line import CommandLine

        screen = self.screen
        known = choices(_scope_of(screen), typed_on(screen), replay=self.player is not None)

        def run(line: str | None) -> None:
            if line:
                self.keys_wait()
                self._run_typed(line, known, screen)

        # At once: what is typed next belongs to it.
        self.push_screen(CommandLine(known, screen, self._typed.lines, text), run)

    @work(exit_on_error=False, group="command")
    async def _run_typed(
        self, line: str, known: Mapping[str, Choice], screen: Screen[object]
    ) -> None:
        try:
            choice, argument = find(line, known)
            if choice.command is None:
                await self._run_action(choice.action)
                return
            done = choice.command.run(screen, argument)
            if done is not None:
                await done
        except CoheteError as error:
            self.show_error(error)
        finally:
            self.keys_go_on()
            await self._typed.add(line)

    # Actions, in the order of the registry.

    def action_command(self) -> None:
        self.type_command()

    def action_save_screenshot(self) -> None:
        if self.is_refused_here("A picture"):
            return
        path = self.save_screenshot(path=str(Path.cwd()))
        self.notify(f"Saved as {path}", timeout=6, markup=False)

    def action_next_theme(self) -> None:
        names = [theme.name for theme in self.own_themes]
        at = names.index(self.theme) if self.theme in names else -1
        self.theme = names[(at + 1) % len(names)]
        self.notify(f"Theme {self.theme}", timeout=2, markup=False)

    def action_help(self) -> None:
        from cohete_tui.screens.help import HelpScreen

        self.push_screen(HelpScreen(_scope_of(self.screen)))

    async def action_quit(self) -> None:
        job = self.quantizing
        if job is None or job.state is not JobState.RUNNING or self._quits_anyway:
            self.exit()
            return
        self._quits_anyway = True
        self.set_timer(QUITS_WITHIN_S, self._stay)
        text = f"{sanitise(job.output.name)} is being made. q again ends it; nothing of it is kept."
        self.notify(text, severity="warning", timeout=QUITS_WITHIN_S, markup=False)

    def _stay(self) -> None:
        self._quits_anyway = False

    def action_quit_now(self) -> None:
        self.exit()

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """The palette: the same list of actions, then the themes."""
        for action in in_scope(_scope_of(screen), replay=self.player is not None):
            if action.area != "Move":
                title = f"{action.area}: {action.help}"
                yield SystemCommand(
                    title,
                    f"Key: {self.keys_of(action)}" if action.keys else "Only here",
                    lambda name=action.name: self.call_later(self._run_action, name),
                )
        for theme in self.own_themes:
            yield SystemCommand(
                f"Theme: {theme.name}",
                "Change the colours",
                lambda name=theme.name: setattr(self, "theme", name),
            )

    async def _run_action(self, name: str) -> None:
        await self.screen.run_action(name if hasattr(self.screen, _method(name)) else f"app.{name}")

    def _on_signal(self, number: int) -> None:
        if not _terminal_is_there():
            # Whatever is still written must not block on a terminal that is gone.
            nowhere = os.open(os.devnull, os.O_RDWR)
            for descriptor in (0, 1, 2):
                os.dup2(nowhere, descriptor)
        # Textual waits for its writer for ever where a terminal went away in the middle of a write.
        last_resort = threading.Timer(EXIT_S, os._exit, (128 + number,))
        last_resort.daemon = True
        last_resort.start()
        self.exit(return_code=128 + number)


def _scope_of(screen: Screen[object]) -> Scope:
    scope = getattr(screen, "SCOPE", Scope.EVERYWHERE)
    assert isinstance(scope, Scope)
    return scope


def _terminal_is_there() -> bool:
    try:
        termios.tcgetattr(0)
    except (termios.error, OSError):
        return False
    return True


def _method(action: str) -> str:
    return f"action_{action.partition('(')[0]}"
