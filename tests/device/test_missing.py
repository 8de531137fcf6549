"""Why something is unknown, in words."""

from __future__ import annotations

from cohete.device.identity import Facts
from cohete.device.missing import explain
from cohete.hardware import MODULES
from cohete.tegra import parse
from tests import lines

THOR = Facts(module=next(m for m in MODULES if m.name == "Thor T5000"), l4t="38.4.0")


def test_thor_has_no_gpu_load() -> None:
    assert "Thor" in explain(parse(lines.THOR_R38), THOR, root=True)["gpu"]


def test_without_root_the_way_to_see_more_is_named() -> None:
    reasons = explain(parse(lines.XAVIER_USER), Facts(l4t="32.7.1"), root=False)
    assert reasons["emc"] == (
        "memory bandwidth (EMC) needs root on L4T 32.7.1; allow sudo for this device to see it"
    )
    note = explain(parse(lines.XAVIER_USER), None, root=False, sudo_note="the rule is missing")
    assert note["engines"].endswith("the rule is missing")


def test_nothing_is_missing_for_root() -> None:
    assert explain(parse(lines.ORIN_R36), Facts(l4t="36.4.4"), root=True) == {}


def test_swapped_labels_are_told() -> None:
    line = "RAM 1/2MB SWAP 0/1MB (cached 0MB) POM_5V_GPU 8949/8742 POM_5V_IN 3227/3086"
    assert "swap rail labels" in explain(parse(line), None, root=True)["power"]


def test_no_sample_no_reasons() -> None:
    assert explain(None, None, root=False) == {}
