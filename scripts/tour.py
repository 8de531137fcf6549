"""The pictures of docs/tour.md, from the demo as it runs: `python scripts/tour.py`."""

from __future__ import annotations

import asyncio
from pathlib import Path

from textual.pilot import Pilot

from cohete_tui.app import CoheteApp, Launch

DOCS = Path(__file__).parent.parent / "docs"
SIZE = (110, 32)
WARM_UP_S = 45.0
SHOTS: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("fleet", (), ()),
    ("table", ("t",), ("t",)),
    ("groups", ("b", "b", "b"), ("b",)),
    ("device", ("j", "enter"), ("escape",)),
    ("processes", ("P",), ("escape",)),
    ("log", ("L",), ("escape",)),
    ("power", ("m",), ("escape",)),
    ("change", ("m", "wait", "enter"), ("escape", "escape")),
    ("compare", ("g", "j", "space", "space", "space", "C"), ("escape", "escape")),
    ("events", ("e",), ("escape",)),
    ("help", ("question_mark",), ("escape",)),
    (
        "quantize",
        ("t", "Q", "slash", *"qwen3-0.6b", "enter", "wait", "enter"),
        ("escape", "escape", "escape"),
    ),
)
"""A picture's name, the keys to it, and the keys back."""


async def shoot(pilot: Pilot[None], app: CoheteApp) -> None:
    await asyncio.sleep(WARM_UP_S)
    for name, there, back in SHOTS:
        for key in there:
            if key == "wait":
                await asyncio.sleep(3)
            else:
                await pilot.press(key)
        # Whatever the screen asks of the board is there by then.
        await asyncio.sleep(4)
        app.clear_notifications()
        await pilot.pause()
        (DOCS / f"{name}.svg").write_text(app.export_screenshot(title="cohete-tui --demo"))
        await pilot.press(*back)


async def main() -> None:
    app = CoheteApp(Launch(demo=True))
    async with app.run_test(size=SIZE) as pilot:
        await shoot(pilot, app)


if __name__ == "__main__":
    asyncio.run(main())
