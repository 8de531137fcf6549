"""One line asked for: a reason, a name to type back, a password."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Input, Static

from cohete_tui.keys_in_order import Question


class AskDialog(Question[str | None]):
    """Gives what was typed; None where it was left. A secret is shown as dots, and kept nowhere."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "cancel", "Cancel", id="ask.cancel")]
    CSS = """
    AskDialog { align: center middle; }
    AskDialog #box { width: 72; max-width: 100%; height: auto; max-height: 100%;
        border: round $warning; background: $surface; padding: 0 1; }
    """

    def __init__(
        self,
        title: str,
        about: Sequence[str] = (),
        hint: str = "",
        *,
        text: str = "",
        is_secret: bool = False,
    ) -> None:
        super().__init__()
        self._title = title
        self._about = about
        self._hint = hint
        self._text = text
        self._is_secret = is_secret
        self._is_over = self._is_left = False

    def withdraw(self) -> None:
        """Nobody waits for an answer any more: it goes, once nothing lies on it."""
        self._is_over = True
        if self.app.screen is self:
            self._leave(None)

    def _leave(self, text: str | None) -> None:
        """Once: a key may come behind the one that ended it."""
        if not self._is_left:
            self._is_left = True
            self.dismiss(text)

    def on_screen_resume(self) -> None:
        if self._is_over:
            self._leave(None)

    def compose(self) -> ComposeResult:
        with Vertical(id="box") as box:
            box.border_title = self._title
            box.border_subtitle = "enter: go on  esc: cancel"
            for line in self._about:
                yield Static(line, markup=False)
            yield Input(
                self._text, placeholder=self._hint, password=self._is_secret, id="typed",
                compact=True,
            )  # fmt: skip

    def on_mount(self) -> None:
        self.query_one(Input).focus()

    @on(Input.Submitted)
    def _typed(self, event: Input.Submitted) -> None:
        self._leave(event.value)

    def action_cancel(self) -> None:
        """Nothing is said."""
        self._leave(None)
