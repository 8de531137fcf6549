"""The question before a change: what would run on which boards, what it costs, how it is undone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, TypeVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import Screen
from textual.widgets import Button, Input

from cohete_tui.changing import Looked, change_lines, to_do
from cohete_tui.keys_in_order import Question
from cohete_tui.widgets.lines import LinesPanel

T = TypeVar("T")

TYPE_FROM = 5
"""From so many boards on, or where one may reboot, their number is typed."""


@dataclass(frozen=True, slots=True)
class Agreed:
    """Somebody said yes; `reboot`: to reboots too."""

    reboot: bool


class ChangeDialog(Question[Agreed | None]):
    """Shows everything a change would run; Cancel has the focus."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "Cancel", id="change.cancel"),
        Binding("left", "app.focus_previous", "", show=False, id="change.previous"),
        Binding("right", "app.focus_next", "", show=False, id="change.next"),
        Binding("up,pageup", "scroll(-3)", "", show=False, id="change.up"),
        Binding("down,pagedown", "scroll(3)", "", show=False, id="change.down"),
    ]

    CSS = """
    ChangeDialog { align: center middle; }
    ChangeDialog #box { width: 100; max-width: 100%; height: auto; max-height: 100%;
        border: round $warning; background: $surface; padding: 0 1; }
    ChangeDialog #list { height: auto; scrollbar-size-vertical: 1; }
    ChangeDialog LinesPanel { border: none; padding: 0; }
    ChangeDialog #buttons { height: 1; align-horizontal: right; margin-top: 1; }
    ChangeDialog Button { margin-left: 2; }
    """

    def __init__(self, intent: str, looked: Looked) -> None:
        super().__init__()
        self._intent = intent
        self._looked = looked
        self._count = len(to_do(looked))
        self._reboots = any(change.reboot_steps for change in to_do(looked).values())
        self._is_typed = self._reboots or self._count >= TYPE_FROM

    def compose(self) -> ComposeResult:
        boards = "1 board" if self._count == 1 else f"{self._count} boards"
        with Vertical(id="box") as box:
            intent = f"{self._intent[:1].upper()}{self._intent[1:]}"
            box.border_title = (
                f"{intent} on {boards}?" if self._count else f"{intent}: nothing to do"
            )
            box.border_subtitle = "tab: next  enter: press  esc: cancel"
            with VerticalScroll(id="list", can_focus=False):
                yield LinesPanel(lambda cells: change_lines(self._looked, cells))
            if self._is_typed:
                what = "to go on" if self._count >= TYPE_FROM else "to allow a reboot"
                yield Input(placeholder=f"type {self._count} {what}", id="count", compact=True)
            with Horizontal(id="buttons"):
                yield Button("Cancel" if self._count else "Back", id="cancel", compact=True)
                if self._count:
                    yield Button(
                        "Do it", id="accept", compact=True, disabled=self._count >= TYPE_FROM
                    )
                if self._reboots:
                    yield Button("Do it, reboot if asked", id="reboot", compact=True, disabled=True)

    def on_mount(self) -> None:
        self.query_one("#cancel").focus()

    def on_resize(self) -> None:
        """All the room but for the border, the buttons and what is typed."""
        rest = 5 if self._is_typed else 4
        self.query_one("#list").styles.max_height = max(2, self.size.height - rest)

    @on(Input.Changed, "#count")
    def _counted(self, event: Input.Changed) -> None:
        typed = event.value.strip() == str(self._count)
        self.query_one("#accept").disabled = self._count >= TYPE_FROM and not typed
        for button in self.query("#reboot"):
            button.disabled = not typed

    @on(Input.Submitted, "#count")
    def _submitted(self) -> None:
        self.focus_next()

    @on(Button.Pressed, "#cancel")
    def action_cancel(self) -> None:
        """Nothing runs."""
        self.dismiss(None)

    @on(Button.Pressed, "#accept")
    def _accepted(self) -> None:
        self.dismiss(Agreed(reboot=False))

    @on(Button.Pressed, "#reboot")
    def _accepted_with_reboot(self) -> None:
        self.dismiss(Agreed(reboot=True))

    def action_scroll(self, lines: int) -> None:
        self.query_one("#list").scroll_relative(y=lines, animate=False)


async def agreed_to(screen: Screen[T], intent: str, looked: Looked) -> Agreed | None:
    """Ask on behalf of a screen; not over what somebody has opened meanwhile."""
    # Not `is_current`, which also holds beneath a line to type into.
    if screen.app.screen is not screen:
        screen.notify(f"Not asked, for you went on to something else: {intent}.", timeout=6,
                      severity="warning", markup=False)  # fmt: skip
        return None
    return await screen.app.push_screen_wait(ChangeDialog(intent, looked))
