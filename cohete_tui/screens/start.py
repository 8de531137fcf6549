"""The first start: the doors to a live fleet."""

from __future__ import annotations

from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Button, Input, Static

from cohete_tui.actions import Scope, bindings
from cohete_tui.widgets.keybar import KeyBar

WELCOME = """Cohete watches NVIDIA Jetsons over SSH. Nothing is installed on them.

There is no configured fleet here, and this machine is no Jetson. Choose a door:"""


class StartScreen(Screen[None]):
    """Demo, a board, or a configuration."""

    class Chosen(Message):
        """A door was opened; exactly one of the two is set, or neither for the demo."""

        def __init__(
            self, *, targets: tuple[str, ...] = (), config_path: str | None = None
        ) -> None:
            super().__init__()
            self.targets = targets
            self.config_path = config_path

    SCOPE = Scope.START
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings(Scope.START),
        Binding("escape", "focus_first", "", show=False, id="start.escape"),
        Binding("down", "app.focus_next", "", show=False, id="start.down"),
        Binding("up", "app.focus_previous", "", show=False, id="start.up"),
    ]

    CSS = """
    StartScreen { align: center middle; background: $background; }
    StartScreen #box { width: 70; max-width: 100%; height: auto; max-height: 100%; overflow-y: auto;
        border: round $border;
        padding: 1 2; background: $surface; }
    StartScreen Button { width: 100%; margin-top: 1; content-align: left middle; text-align: left; }
    StartScreen Input { margin: 0 0 0 2; }
    StartScreen #error { color: $error; height: auto; }
    """

    def compose(self) -> ComposeResult:
        with Vertical(id="box") as box:
            box.border_title = "cohete"
            yield Static(WELCOME, markup=False)
            yield Button(
                "d  Demo: twelve simulated boards, through real SSH", id="demo", compact=True
            )
            yield Button("f  Find boards: on USB, in the network, where ssh goes", id="find",
                         compact=True)  # fmt: skip
            yield Button("b  Connect to a board", id="board", compact=True)
            yield Input(placeholder="nvidia@10.0.0.7, then enter", id="targets",
                        compact=True, select_on_focus=False)  # fmt: skip
            yield Button("o  Open a configuration", id="config", compact=True)
            yield Input(placeholder="path of a cohete.yaml, then enter", id="path", compact=True)
            yield Static("", id="error", markup=False)
        yield KeyBar()

    def on_mount(self) -> None:
        self.query_one("#demo").focus()

    def opening(self) -> None:
        """A door was chosen: say so, and take no other choice meanwhile."""
        self.query_one("#error", Static).update("Opening …")
        self.query_one("#box").disabled = True

    def show_error(self, text: str) -> None:
        """Say why a door did not open."""
        self.query_one("#box").disabled = False
        self.query_one("#error", Static).update(text)

    @on(Button.Pressed, "#demo")
    def action_demo(self) -> None:
        """The demo."""
        self._choose(self.Chosen())

    @on(Button.Pressed, "#board")
    def action_board(self) -> None:
        """Ask for a board."""
        self.query_one("#error", Static).update("")
        self.query_one("#targets").focus()

    @on(Button.Pressed, "#find")
    @work(exclusive=True, exit_on_error=False)
    async def action_find(self) -> None:
        """Look for boards; what is chosen stands ready, for a user to be named."""
        from cohete_tui.screens.discover import DiscoverScreen

        target = await self.app.push_screen_wait(DiscoverScreen())
        if target:
            field = self.query_one("#targets", Input)
            field.value, field.cursor_position = target, 0
            field.focus()
            self.query_one("#error", Static).update(
                "Enter connects. Where ssh does not know the user, put it before: nvidia@…"
            )

    @on(Button.Pressed, "#config")
    def action_config(self) -> None:
        """Ask for a file."""
        self.query_one("#error", Static).update("")
        self.query_one("#path").focus()

    def action_focus_first(self) -> None:
        """Leave an input."""
        self.query_one("#demo").focus()

    def _choose(self, chosen: Chosen) -> None:
        if not self.query_one("#box").disabled:
            self.opening()
            self.post_message(chosen)

    @on(Input.Submitted, "#targets")
    def _targets(self, event: Input.Submitted) -> None:
        targets = tuple(event.value.replace(",", " ").split())
        if targets:
            self._choose(self.Chosen(targets=targets))

    @on(Input.Submitted, "#path")
    def _path(self, event: Input.Submitted) -> None:
        if event.value.strip():
            self._choose(self.Chosen(config_path=event.value.strip()))
