"""`:` and a line to type a command into, over whatever screen is open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen, Screen
from textual.widgets import Label, Static

from cohete_tui.commands import Choice, complete
from cohete_tui.widgets.prompt import Prompt

EXAMPLES = "tab completes, up and down are earlier commands, esc leaves"


class CommandLine(ModalScreen[str | None]):
    """Gives the line that was typed; None where it was left."""

    CSS = """
    CommandLine { background: transparent; align: left bottom; }
    CommandLine Vertical { height: 2; dock: bottom; background: $panel; }
    CommandLine Horizontal { height: 1; }
    CommandLine Label { width: 2; padding: 0 0 0 1; color: $accent; }
    CommandLine Prompt { width: 1fr; background: $panel; padding: 0; }
    CommandLine #about { height: 1; padding: 0 1; color: $secondary; }
    """
    AUTO_FOCUS: ClassVar[str] = "Prompt"

    def __init__(
        self,
        known: Mapping[str, Choice],
        beneath: Screen[object],
        history: Sequence[str],
        text: str = "",
    ) -> None:
        super().__init__()
        self._known = known
        self._beneath = beneath
        self._history = history
        self._text = text

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(EXAMPLES, id="about", markup=False)
            with Horizontal():
                yield Label(":")
                yield Prompt(
                    "a command",
                    id="line",
                    history=self._history,
                    complete=lambda line: complete(line, self._known, self._beneath),
                )

    def on_mount(self) -> None:
        prompt = self.query_one(Prompt)
        prompt.value = self._text
        prompt.cursor_position = len(self._text)

    @on(Prompt.Changed)
    def _about(self, event: Prompt.Changed) -> None:
        """What the command does that is being typed."""
        name = event.value.strip().partition(" ")[0]
        known = self._known
        begun = [known[each] for each in sorted(known) if each.startswith(name)] if name else []
        if len(begun) == 1 or (begun and begun[0].name == name):
            text = f"{begun[0].usage}: {begun[0].help}"
        else:
            text = "  ".join(choice.name for choice in begun) or EXAMPLES
        self.query_one("#about", Static).update(text)

    @on(Prompt.Kept)
    def _kept(self, event: Prompt.Kept) -> None:
        self.dismiss(event.text or None)

    @on(Prompt.Dropped)
    def _dropped(self) -> None:
        self.dismiss(None)
