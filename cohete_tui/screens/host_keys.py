"""The question about hosts that were never seen: their keys, and whether to trust them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widgets import Button, Input, Static

from cohete.fleet.state import Device
from cohete_tui.keys_in_order import Question

TYPE_FROM = 5
"""From this many hosts on, their number has to be typed."""


class HostKeyDialog(Question[bool]):
    """Shows fingerprints; True once a person said that these are the keys of these boards."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "Not now", id="keys.cancel"),
        Binding("left,up", "app.focus_previous", "", show=False, id="keys.previous"),
        Binding("right,down", "app.focus_next", "", show=False, id="keys.next"),
    ]

    VERTICAL_BREAKPOINTS = [(0, "-short"), (16, "-tall")]  # noqa: RUF012 - declared so by Textual

    CSS = """
    HostKeyDialog { align: center middle; }
    HostKeyDialog #box { width: 76; max-width: 100%; height: auto; max-height: 100%;
        border: round $warning; background: $surface; padding: 0 1; }
    HostKeyDialog #list { height: auto; max-height: 40vh; }
    HostKeyDialog #buttons { height: 1; align-horizontal: right; }
    HostKeyDialog Button { margin-left: 2; }
    HostKeyDialog .dim { color: $secondary; }
    HostKeyDialog.-short .dim { display: none; }
    HostKeyDialog.-short #list { max-height: 30vh; }
    """

    def __init__(self, devices: Sequence[Device]) -> None:
        super().__init__()
        self._devices = list(devices)

    def compose(self) -> ComposeResult:
        count = len(self._devices)
        hosts = "this host" if count == 1 else f"these {count} hosts"
        lines = "\n".join(
            f"{device.id}  {device.spec.target}\n  {device.fingerprint}" for device in self._devices
        )
        with Vertical(id="box") as box:
            box.border_title = f"Trust {hosts}?"
            box.border_subtitle = "tab: other button  enter: press  esc: not now"
            yield Static("Never seen before. Once trusted, any other key is refused.", markup=False)
            with VerticalScroll(id="list", can_focus=False):
                yield Static(lines, markup=False)
            yield Static(
                "Compare on the board: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub",
                classes="dim",
                markup=False,
            )
            if count >= TYPE_FROM:
                yield Input(placeholder=f"type {count} to trust them all", id="count", compact=True)
            with Horizontal(id="buttons"):
                yield Button("Not now", id="cancel", compact=True)
                yield Button(
                    "Trust" if count == 1 else f"Trust all {count}",
                    id="accept",
                    compact=True,
                    disabled=count >= TYPE_FROM,
                )

    def on_mount(self) -> None:
        self.query_one("#cancel").focus()

    @on(Button.Pressed, "#cancel")
    def action_cancel(self) -> None:
        """Leave them unconnected; `c` asks again."""
        self.dismiss(False)

    @on(Button.Pressed, "#accept")
    def _accepted(self) -> None:
        self.dismiss(True)

    @on(Input.Changed, "#count")
    def _counted(self, event: Input.Changed) -> None:
        self.query_one("#accept").disabled = event.value.strip() != str(len(self._devices))
