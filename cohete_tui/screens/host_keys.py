"""The question about hosts that were never seen: their keys, and whether to trust them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Button, Static

from cohete.fleet.state import Device


class HostKeyDialog(ModalScreen[None]):
    """Shows fingerprints; the keys are put on record only when a person says so."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,n,q", "cancel", "Not now", id="keys.cancel"),
        Binding("y", "accept", "Trust", id="keys.accept"),
    ]

    CSS = """
    HostKeyDialog { align: center middle; }
    HostKeyDialog #box { width: 76; max-width: 96%; height: auto; max-height: 90%;
        border: round $warning; background: $surface; padding: 0 1; }
    HostKeyDialog #list { height: auto; max-height: 10; margin: 1 0; }
    HostKeyDialog #buttons { height: auto; align-horizontal: right; }
    HostKeyDialog Button { margin-left: 2; }
    HostKeyDialog .dim { color: $secondary; }
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
            yield Static(
                f"Cohete has never seen {hosts}. Trusting puts the key on record; from then on "
                "any other key is refused.",
                markup=False,
            )
            yield VerticalScroll(Static(lines, markup=False), id="list")
            yield Static(
                "Compare, on the board: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub",
                classes="dim",
                markup=False,
            )
            with Horizontal(id="buttons"):
                yield Button("Not now", id="cancel", compact=True)
                yield Button(
                    "Trust" if count == 1 else f"Trust all {count}", id="accept", compact=True
                )

    def on_mount(self) -> None:
        self.query_one("#cancel").focus()

    @on(Button.Pressed, "#cancel")
    def action_cancel(self) -> None:
        """Leave them unconnected; `c` asks again."""
        self.dismiss()

    @on(Button.Pressed, "#accept")
    def action_accept(self) -> None:
        """Put the keys on record and connect."""
        self.app.trust(self._devices)  # type: ignore[attr-defined]
        self.dismiss()
