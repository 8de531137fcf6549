"""The keys that work here, from the list of actions."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen
from textual.widgets import Static

from cohete_tui.actions import Action, Scope, in_scope
from cohete_tui.widgets.scroll import Scroll

_KEY_CELLS = 16

SIGNS = """States
  ● live        samples are coming; the age stands beside them
  ◐ stale       three samples missed; values are dim, with their age
  ✕ lost        the connection is gone; it is tried again by itself
  ⊘ refused     waits for you: login, host key or configuration
  … connecting  first try

Values
  –             unknown (the device screen says why); never shown as 0
  off           powered down
  │ in a bar    the memory budget"""


def help_text(scope: Scope, keys_of: Callable[[Action], str], *, replay: bool = False) -> str:
    """Keys by area, then what the signs mean."""
    areas: dict[str, list[str]] = {}
    for action in in_scope(scope, replay=replay):
        line = f"  {keys_of(action) or '(palette)':{_KEY_CELLS}}{action.help}"
        areas.setdefault(action.area, []).append(line)
    parts = ["\n".join([area, *lines]) for area, lines in areas.items()]
    parts.append("Palette\n  " + f"{'ctrl+p':{_KEY_CELLS}}Every action by name, and the themes")
    return "\n\n".join([*parts, SIGNS])


class HelpScreen(ModalScreen[None]):
    """Modal help for the screen it was opened on."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark,f1,enter", "close", "Close", id="help.close"),
        Binding("down,j", "scroll_text(1)", "Down", show=False, id="help.down"),
        Binding("up,k", "scroll_text(-1)", "Up", show=False, id="help.up"),
    ]

    CSS = """
    HelpScreen { align: center middle; }
    HelpScreen Scroll { width: 76; max-width: 96%; height: auto; max-height: 94%;
        border: round $accent; background: $surface; padding: 0 1; }
    """

    def __init__(self, scope: Scope) -> None:
        super().__init__()
        self._scope = scope

    def compose(self) -> ComposeResult:
        from cohete_tui.app import CoheteApp

        with Scroll() as box:
            box.border_title = "Keys"
            box.border_subtitle = "esc closes, ↑↓ scrolls"
            app = self.app
            assert isinstance(app, CoheteApp)
            yield Static(
                help_text(self._scope, app.keys_of, replay=app.player is not None), markup=False
            )

    def action_close(self) -> None:
        """Back to where it was opened."""
        self.dismiss()

    def action_scroll_text(self, lines: int) -> None:
        """Scroll by lines."""
        self.query_one(Scroll).scroll_relative(y=lines, animate=False, immediate=True)
