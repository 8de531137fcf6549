"""Jetsons on this computer's USB: running ones by their gadget, others in recovery mode.

Sources: the kernel's tree under /sys/bus/usb/devices (Linux), else the serial ports pyserial lists.
Ids: 0955:7020 is the gadget of any running L4T (network 192.168.55.1 and fe80::1, serial console,
disk); recovery ids are those of NVIDIA's udev rules. Nothing else is a Jetson, whatever it calls
itself. Blocking.
"""

from __future__ import annotations

import sys
from pathlib import Path

from cohete.device.discovery.found import USB_HOST, Address, Kind, Sighting, Way
from cohete.text import sanitise

SYSFS = Path("/sys/bus/usb/devices")
VENDOR = 0x0955
GADGET = 0x7020
MAX_DEVICES = 1_024
RECOVERY: dict[int, str] = {
    0x7023: "AGX Orin 64GB",
    0x7223: "AGX Orin 32GB",
    0x7323: "Orin NX 16GB",
    0x7423: "Orin NX 8GB",
    0x7523: "Orin Nano 8GB",
    0x7623: "Orin Nano 4GB",
    0x7026: "Thor T5000",
    0x7226: "Thor",
    0x7326: "Thor",
    0x7019: "AGX Xavier",
    0x7819: "AGX Xavier",
    0x7919: "AGX Xavier",
    0x7E19: "Xavier NX",
    0x7F21: "Nano",
    0x7140: "TK1",
}
"""What waits to be flashed, by product id."""


def on_usb(sysfs: Path = SYSFS) -> list[Sighting]:
    """Every Jetson on USB. Never raises: what cannot be read is not there."""
    return _from_sysfs(sysfs) if sysfs.is_dir() else [] if _is_linux() else _from_ports()


def _is_linux() -> bool:
    return sys.platform.startswith("linux")


def _from_sysfs(sysfs: Path) -> list[Sighting]:
    found = []
    for device in sorted(sysfs.iterdir())[:MAX_DEVICES]:
        vendor, product = _hex(device / "idVendor"), _hex(device / "idProduct")
        if vendor != VENDOR or product is None:
            continue
        if product in RECOVERY:
            found.append(_recovering(product, device.name))
        elif product == GADGET:
            found.append(_running(device))
    return found


def _recovering(product: int, place: str) -> Sighting:
    note = (
        f"{RECOVERY[product]} in recovery mode (USB {place}): it runs nothing and waits to be "
        "flashed. Leave it by a restart without the recovery button or jumper."
    )
    return Sighting(Way.USB, Kind.RECOVERY, RECOVERY[product], ids=(f"usb {place}",), note=note)


def _running(device: Path) -> Sighting:
    interfaces = sorted(path.name for path in device.glob("*/net/*"))
    consoles = sorted(path.name for path in device.glob("*/tty/*"))
    addresses = [Address(USB_HOST)] if interfaces else []
    # Every board has the same IPv4 address; by its interface it can be told from another.
    addresses += [Address(f"fe80::1%{sanitise(name, 32)}") for name in interfaces[:2]]
    serial = _text(device / "serial")
    console = f"/dev/{sanitise(consoles[0], 32)}" if consoles else ""
    note = "" if interfaces else "its USB network is not up on this computer; it has a console"
    return Sighting(
        Way.USB, Kind.BOARD, "", tuple(addresses),
        ids=(f"serial {serial}",) if serial else (f"usb {device.name}",),
        console=console, note=note if console else "",
    )  # fmt: skip


def _from_ports() -> list[Sighting]:
    """Without the kernel's tree: what the system's serial ports tell (macOS, Windows)."""
    from serial.tools import list_ports

    found = []
    for port in sorted(list_ports.comports(), key=lambda port: str(port.device))[:MAX_DEVICES]:
        if port.vid == VENDOR and port.pid == GADGET:
            serial = sanitise(port.serial_number or "", 64)
            found.append(
                Sighting(
                    Way.USB,
                    Kind.BOARD,
                    "",
                    (Address(USB_HOST),),
                    ids=(f"serial {serial}",) if serial else (),
                    console=str(port.device),
                    note="boards in recovery mode cannot be told on this system",
                )
            )
    return found


def _text(path: Path) -> str:
    try:
        return sanitise(path.read_text(encoding="utf-8", errors="replace").strip(), 64)
    except OSError:
        return ""


def _hex(path: Path) -> int | None:
    try:
        return int(_text(path), 16)
    except ValueError:
        return None
