"""The house: imports go down only, and heavy ones come late."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in (ROOT / "cohete").rglob("*.py")
    if path.name != "__main__.py"
)
NEVER_IN_CORE = {"textual", "rich", "cohete_tui"}
HEAVY = {"asyncssh", "numpy", "pydantic", "yaml", "zeroconf", "plotext"}
LIGHT = [
    "cohete", "cohete.errors", "cohete.clock", "cohete.text", "cohete.hardware", "cohete.tegra",
    "cohete.cli", "cohete.cli.status", "cohete.cli.watch", "cohete.cli.decode",
    "cohete.cli.simulate", "cohete.cli.config", "cohete.fleet", "cohete.config", "cohete.device",
    "cohete.fleet.store", "cohete.fleet.words", "cohete.config.spec", "cohete_tui",
    "cohete_tui.cli",
]  # fmt: skip


def loaded_by(module: str) -> set[str]:
    code = f"import sys, {module}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    return set(done.stdout.decode().split())


def test_no_core_module_loads_a_terminal() -> None:
    code = "import sys\n" + "\n".join(f"import {module}" for module in MODULES)
    code += "\nprint(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert not set(done.stdout.decode().split()) & NEVER_IN_CORE


@pytest.mark.parametrize("module", LIGHT)
def test_light_modules_load_nothing_heavy(module: str) -> None:
    assert not loaded_by(module) & HEAVY


def test_the_dashboard_paints_before_ssh_is_loaded() -> None:
    assert not loaded_by("cohete_tui.app") & {"asyncssh", "pydantic", "yaml", "plotext", "numpy"}
    assert not loaded_by("cohete_tui.screens.fleet") & {"asyncssh", "plotext", "numpy"}


def test_files_stay_readable() -> None:
    """About 400 lines a file, 250 a widget."""
    for path in [*(ROOT / "cohete").rglob("*.py"), *(ROOT / "cohete_tui").rglob("*.py")]:
        count = len(path.read_text().splitlines())
        assert count <= (260 if "widgets" in path.parts else 420), (path, count)
