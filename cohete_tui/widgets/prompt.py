"""One line to type into at the bottom: the filter, and the command line with its history."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message
from textual.suggester import Suggester
from textual.widgets import Input

HISTORY_MAX = 200


class Prompt(Input):
    """A line that is kept with enter and dropped with esc; up and down walk its history."""

    class Kept(Message):
        """Enter was pressed."""

        def __init__(self, prompt: Prompt, text: str) -> None:
            super().__init__()
            self.prompt = prompt
            self.text = text

        @property
        def control(self) -> Prompt:
            """Where it was typed."""
            return self.prompt

    class Dropped(Message):
        """Esc was pressed."""

        def __init__(self, prompt: Prompt) -> None:
            super().__init__()
            self.prompt = prompt

        @property
        def control(self) -> Prompt:
            """Where it was typed."""
            return self.prompt

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "keep", "keep", id="prompt.keep"),
        Binding("escape", "drop", "drop", id="prompt.drop"),
        Binding("up", "earlier(1)", "earlier", show=False, id="prompt.earlier"),
        Binding("down", "earlier(-1)", "later", show=False, id="prompt.later"),
        Binding("tab", "complete", "complete", show=False, id="prompt.complete"),
    ]
    DEFAULT_CSS = """
    Prompt { height: 1; border: none; padding: 0 1; }
    Prompt.filter { display: none; }
    Prompt.filter.open { display: block; }
    """

    def __init__(
        self,
        placeholder: str,
        *,
        id: str,  # noqa: A002
        history: Sequence[str] = (),
        complete: Callable[[str], str | None] | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(
            placeholder=placeholder,
            id=id,
            classes=classes,
            compact=True,
            select_on_focus=False,
            suggester=_Completer(complete) if complete else None,
        )
        self._history = list(history)
        self._at = 0
        self._typed = ""

    def action_keep(self) -> None:
        """Take what is there."""
        text = self.value.strip()
        if text:
            self._history = [line for line in self._history if line != text][-HISTORY_MAX:]
            self._history.append(text)
        self._at = 0
        self.post_message(self.Kept(self, text))

    def action_drop(self) -> None:
        """Leave without it."""
        self._at = 0
        self.post_message(self.Dropped(self))

    def action_earlier(self, step: int) -> None:
        """An earlier line of the history, or a later one."""
        if self._at == 0:
            self._typed = self.value
        self._at = max(0, min(len(self._history), self._at + step))
        self.value = self._history[-self._at] if self._at else self._typed
        self.cursor_position = len(self.value)

    def action_complete(self) -> None:
        """Take what is suggested."""
        self.action_cursor_right() if self._suggestion else None


class _Completer(Suggester):
    def __init__(self, complete: Callable[[str], str | None]) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._complete = complete

    async def get_suggestion(self, value: str) -> str | None:
        return self._complete(value)
