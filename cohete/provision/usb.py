"""NVIDIA's network over USB-C, by the service that comes with Jetson Linux."""

from __future__ import annotations

from dataclasses import dataclass

from cohete.config.devices import USB_ADDRESS
from cohete.control.change import Change, Need, Sections, Step, as_root
from cohete.control.services import SYSTEMCTL
from cohete.errors import ChangeRefused
from cohete.links.commands import Probe
from cohete.provision.manager import interfaces
from cohete.text import decode, sanitise

USB_UNIT = "nv-l4t-usb-device-mode.service"


@dataclass(frozen=True, slots=True)
class UsbNetwork:
    """NVIDIA's network over USB-C: the board answers at 192.168.55.1."""

    @property
    def intent(self) -> str:
        return f"answer at {USB_ADDRESS} over USB"

    @property
    def probes(self) -> tuple[Probe, ...]:
        return (
            Probe("net_addresses", ("ip", "-j", "address")),
            Probe("usb_unit", ("systemctl", "is-enabled", USB_UNIT)),
            Probe("usb_runs", ("systemctl", "is-active", USB_UNIT)),
        )

    def plan(self, device: str, board: Sections) -> Change:
        """Raises ChangeRefused where the release has no such service."""
        said = decode(board.get("usb_unit", b"")).strip()
        starts = said in ("enabled", "static", "indirect")
        if not starts and said != "disabled":
            raise ChangeRefused(
                f"this board has no {USB_UNIT}", where=device,
                hint=sanitise(" ".join(said.split()), 120) or "It comes with Jetson Linux.",
            )  # fmt: skip
        runs = decode(board.get("usb_runs", b"")).strip() == "active"
        steps = [
            *(() if starts else (_step("at each start", "enable"),)),
            *(() if runs else (_step("now", "start"),)),
        ]
        # The address comes and goes with the cable.
        has_cable = any(each.address.partition("/")[0] == USB_ADDRESS
                        for each in interfaces(board))  # fmt: skip
        after = f"{USB_ADDRESS} over USB, also after a start"
        before = f"{'runs' if runs else 'stands'}, {'also' if starts else 'not'} after a start"
        return Change(
            device, self.intent, before if steps else after, after, tuple(steps),
            needs=frozenset({Need.ROOT} if steps else ()),
            readings=f"{after}; {'a cable is' if has_cable else 'no cable'} there",
            undo_words=f"Undone by `systemctl disable --now {USB_UNIT}` there.",
        )  # fmt: skip


def usb_rules() -> tuple[str, ...]:
    """The sudo rules of UsbNetwork."""
    return f"{SYSTEMCTL} enable {USB_UNIT}", f"{SYSTEMCTL} start {USB_UNIT}"


def _step(title: str, verb: str) -> Step:
    argv = (SYSTEMCTL, verb, USB_UNIT)
    return Step(title, as_root(*argv), rule=" ".join(argv))
