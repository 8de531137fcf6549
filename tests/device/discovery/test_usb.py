"""Jetsons on USB, and nothing else that is plugged in: a tree of the kernel's made here."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from cohete.clock import SystemClock
from cohete.device.discovery.found import Kind, Way
from cohete.device.discovery.search import Search, Wanted
from cohete.device.discovery.usb import RECOVERY, on_usb


def plug(
    tree: Path, place: str, vendor: str, product: str, *, serial: str = "", net: str = "",
    tty: str = "",
) -> None:  # fmt: skip
    device = tree / place
    device.mkdir(parents=True)
    for name, text in (("idVendor", vendor), ("idProduct", product), ("serial", serial)):
        if text:
            (device / name).write_text(f"{text}\n")
    if net:
        (device / f"{place}:1.0" / "net" / net).mkdir(parents=True)
    if tty:
        (device / f"{place}:1.2" / "tty" / tty).mkdir(parents=True)


@pytest.mark.claim("DDC-01")
def test_a_running_board_with_its_network_and_console(tmp_path: Path) -> None:
    plug(tmp_path, "1-2", "0955", "7020", serial="1420921055", net="enxaa", tty="ttyACM0")
    (board,) = on_usb(tmp_path)
    assert (board.way, board.kind) == (Way.USB, Kind.BOARD)
    assert [str(address) for address in board.addresses] == ["192.168.55.1", "[fe80::1%enxaa]"]
    assert (board.console, board.ids) == ("/dev/ttyACM0", ("serial 1420921055",))


@pytest.mark.claim("DDC-01")
def test_nothing_that_is_not_a_jetson_is_one(tmp_path: Path) -> None:
    others = [
        ("0403", "6001"), ("2e8a", "000a"), ("18d1", "4ee7"), ("1d6b", "0002"), ("05ac", "12a8"),
        ("0525", "a4a2"), ("0955", "7045"), ("0955", "09ff"), ("0955", "cf05"),
    ]  # fmt: skip
    for nth, (vendor, product) in enumerate(others):
        plug(tmp_path, f"1-{nth}", vendor, product, net="usb0", tty="ttyACM0")
    (tmp_path / "broken").mkdir()
    plug(tmp_path, "2-1", "zz", "7020")
    assert on_usb(tmp_path) == []
    assert on_usb(tmp_path / "no-usb-here") == []


@pytest.mark.claim("DDC-01")
def test_every_recovery_id_is_no_running_board(tmp_path: Path, corpus: Path) -> None:
    with (corpus / "usb/recovery_product_ids.tsv").open() as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    ids = {
        int(product, 16)
        for row in rows
        if "recovery" in row["meaning"] and "NOT recovery" not in row["meaning"]
        for product in row["vid:pid"].removeprefix("0955:").split()
    }
    assert ids == set(RECOVERY)
    for nth, product in enumerate(sorted(ids)):
        plug(tmp_path, f"1-{nth}", "0955", f"{product:04x}")
    found = on_usb(tmp_path)
    assert len(found) == len(ids)
    assert {each.kind for each in found} == {Kind.RECOVERY}
    assert all("waits to be flashed" in each.note and not each.addresses for each in found)


@pytest.mark.claim("DDC-01")
async def test_what_is_plugged_in_while_one_looks_shows_up(tmp_path: Path) -> None:
    search = Search(Wanted(by_mdns=False, sysfs=tmp_path, for_s=1.2), SystemClock())

    def changed() -> None:
        if not (tmp_path / "1-3").exists():
            plug(tmp_path, "1-3", "0955", "7020", serial="7", tty="ttyACM3")

    search.changed = changed
    (board,) = await search.run()
    assert board.kind is Kind.BOARD
    assert board.console == "/dev/ttyACM3"
    assert board.notes == ("its USB network is not up on this computer; it has a console",)
