"""Which module it is: never confused, never guessed."""

from __future__ import annotations

import pytest

from cohete import hardware
from cohete.hardware import identify, is_super, jetpack_name, parse_l4t

pytestmark = pytest.mark.claim("DDC-05")

NANO_KIT = "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit"
NX_KIT = "NVIDIA Jetson Orin NX Engineering Reference Developer Kit"
AGX_KIT = "NVIDIA Jetson AGX Orin Developer Kit"


def compatible(text: str) -> tuple[str, ...]:
    return tuple(f"nvidia,{part}" for part in text.split())


@pytest.mark.parametrize(
    ("model", "parts", "memory_mb", "name", "cores", "tops", "super_tops"),
    [
        (NANO_KIT, "p3768-0000+p3767-0004 p3767-0004 tegra234", 3602, "Orin Nano 4GB", 512, 20, 34),
        (NANO_KIT, "p3768-0000+p3767-0005-super p3767-0005", 7607, "Orin Nano 8GB", 1024, 40, 67),
        (NANO_KIT, "p3768-0000+p3767-0003 p3767-0003", 7485, "Orin Nano 8GB", 1024, 40, 67),
        (NX_KIT, "p3768-0000+p3767-0001 p3767-0001", 7337, "Orin NX 8GB", 1024, 70, 117),
        (NX_KIT, "p3768-0000+p3767-0000-super p3767-0000", 15656, "Orin NX 16GB", 1024, 100, 157),
        (AGX_KIT, "p3737-0000+p3701-0004 p3701-0004", 30697, "AGX Orin 32GB", 1792, 200, None),
        (AGX_KIT, "p3737-0000+p3701-0005 p3701-0005", 62841, "AGX Orin 64GB", 2048, 275, None),
        (AGX_KIT, "p3737-0000+p3701-0000 p3701-0000", 30623, "AGX Orin 32GB", 1792, 200, None),
        (AGX_KIT, "p3737-0000+p3701-0000 p3701-0000", 62795, "AGX Orin 64GB", 2048, 275, None),
        ("Jetson-AGX", "p2972-0000 p2888-0004 tegra194", 31919, "AGX Xavier 32GB", 512, 32, None),
        ("Jetson-AGX", "p2972-0000 tegra194", 15692, "AGX Xavier 16GB", 512, 32, None),
        ("", "p3509-0000+p3668-0000", 7772, "Xavier NX 8GB", 384, 21, None),
        ("NVIDIA Jetson Nano Developer Kit", "jetson-nano", 3964, "Nano 4GB", 128, None, None),
        ("NVIDIA Jetson Nano 2GB Developer Kit", "jetson-nano", 1980, "Nano 2GB", 128, None, None),
        ("quill", "p2597-0000+p3310-1000 quill", 7855, "TX2", 256, None, None),
        ("jetson_tx1", "p2371-2180 jetson-cv", 3983, "TX1", 256, None, None),
        ("NVIDIA Jetson AGX Thor Developer Kit", "p4071-0000+p3834-0008 p3834-0008", 125772,
         "Thor T5000", 2560, None, None),
    ],
)  # fmt: skip
def test_each_module(
    model: str, parts: str, memory_mb: int, name: str, cores: int, tops: int | None,
    super_tops: int | None,
) -> None:  # fmt: skip
    module = identify(model, compatible(parts), memory_mb)
    assert module is not None
    assert (module.name, module.cuda_cores) == (name, cores)
    assert (module.tops, module.super_tops) == (tops, super_tops)


@pytest.mark.parametrize(
    ("model", "parts", "memory_mb", "name"),
    [
        (NANO_KIT, "", 3379, "Orin Nano 4GB"),
        (NANO_KIT, "", 7577, "Orin Nano 8GB"),
        (NX_KIT, "", 7577, "Orin NX 8GB"),
        (NX_KIT, "", 15388, "Orin NX 16GB"),
        (NANO_KIT, "p3768-0000+p3767-0004", 7607, "Orin Nano 8GB"),
    ],
)
def test_memory_decides_only_within_a_family(
    model: str, parts: str, memory_mb: int, name: str
) -> None:
    module = identify(model, compatible(parts), memory_mb)
    assert module is not None
    assert module.name == name


@pytest.mark.parametrize(
    ("model", "parts", "memory_mb"),
    [
        ("", "", 7620),
        ("Raspberry Pi 5 Model B", "raspberrypi,5-model-b", 7900),
        ("NVIDIA Jetson Whatever Developer Kit", "p9999-0001 tegra999", 65000),
        (NX_KIT, "p3768-0000+p3767-0077", 15656),
        ("NVIDIA IGX Orin Developer Kit", "p3740-0002+p3701-0002", 62000),
        (AGX_KIT, "p3737-0000+p3701-0000", None),
        (NANO_KIT, "p3768-0000+p3767-0005", 40_000),
    ],
)
def test_unknown_stays_unknown(model: str, parts: str, memory_mb: int | None) -> None:
    assert identify(model, compatible(parts), memory_mb) is None


def test_super_is_told_from_either_name() -> None:
    assert is_super("x", compatible("p3768-0000+p3767-0005-super p3767-0005"))
    assert is_super(f"{NX_KIT} Super", ())
    assert not is_super(NX_KIT, compatible("p3768-0000+p3767-0000"))


def test_parts_are_unique() -> None:
    seen = [part for module in hardware.MODULES for part in module.parts if part != "p3701-0000"]
    assert len(seen) == len(set(seen))
    assert len({module.name for module in hardware.MODULES}) == len(hardware.MODULES)


@pytest.mark.parametrize(
    ("text", "package", "l4t"),
    [
        ("# R36 (release), REVISION: 4.7, GCID: 1, BOARD: generic", "", "36.4.7"),
        ("# R39 (release), REVISION: 2.0, DATE: Mon Jun  1 09:28:48 PM UTC 2026", "", "39.2.0"),
        ("# R28 (release), REVISION: 2.1, GCID: 11272647, BOARD: t186ref", "", "28.2.1"),
        ("# R21 (release), REVISION: 8, GCID: 1", "", "21.8.0"),
        ("", "36.4.7-20250918154033", "36.4.7"),
        ("head: cannot open '/etc/nv_tegra_release'", "", None),
        ("", "dpkg-query: no packages found matching nvidia-l4t-core", None),
    ],
)
def test_l4t_release(text: str, package: str, l4t: str | None) -> None:
    assert parse_l4t(text, package) == l4t


def test_first_lines_of_real_releases(corpus: object) -> None:
    from tests.conftest import CORPUS

    lines = (CORPUS / "nv_tegra_release" / "first_lines.txt").read_text().splitlines()
    releases = [parse_l4t(line) for line in lines]
    assert None not in releases
    assert len(set(releases)) == len(releases)


@pytest.mark.parametrize(
    ("l4t", "package", "name"),
    [
        ("36.4.7", "", "JetPack 6.2.1"),
        ("36.4.7", "6.3+b12", "JetPack 6.3"),
        ("36.4.7", "dpkg-query: no packages found matching nvidia-jetpack", "JetPack 6.2.1"),
        ("36.5.2", "", "L4T 36.5.2"),
        ("99.1.0", "", "L4T 99.1.0"),
        (None, "", None),
    ],
)
def test_release_name_by_package_then_table_then_l4t(
    l4t: str | None, package: str, name: str | None
) -> None:
    assert jetpack_name(l4t, package) == name


def test_models_of_real_boards_are_never_a_wrong_family(corpus: object) -> None:
    from tests.conftest import CORPUS

    rows = (CORPUS / "device_tree" / "models.tsv").read_text().splitlines()[1:]
    families = {
        "Thor": 125_772, "AGX Orin": 62_841, "Orin NX": 15_656, "Orin Nano": 7_607,
        "TX2": 7_855, "TX1": 3_983, "AGX Xavier": 31_919, "Nano": 3_964,
    }  # fmt: skip
    for row in rows:
        model, seen_on = row.split("\t")[:2]
        expected = next(name for name in families if seen_on.startswith(name))
        module = identify(model, (), families[expected])
        assert module is not None, row
        assert str(module.family) == expected, row
