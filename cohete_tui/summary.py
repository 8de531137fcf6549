"""The fleet in a few lines, for a terminal that has no room for more. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from cohete.fleet.state import GLYPHS, Device, State
from cohete.fleet.store import is_hot
from cohete_tui.draw import Line, fit
from cohete_tui.tiles import STATE_STYLES

_ORDER = (State.REFUSED, State.LOST, State.STALE, State.CONNECTING, State.LIVE, State.DISABLED)


def summary(devices: Iterable[Device], cells: int) -> list[Line]:
    """One line a state, what needs somebody first: `✕ 2 lost: gate, dock`."""
    by_state: dict[State, list[str]] = {}
    hot: list[str] = []
    for device in devices:
        by_state.setdefault(device.state, []).append(device.id)
        if device.state is State.LIVE and is_hot(device):
            hot.append(device.id)
    lines: list[Line] = []
    for state in _ORDER:
        if state is State.STALE and hot:
            lines.append(_line(f"▲ {len(hot)} hot", hot, "danger", cells))
        names = by_state.get(state)
        if names:
            text = f"{GLYPHS[state]} {len(names)} {state}"
            lines.append(_line(text, names, STATE_STYLES[state], cells))
    return lines


def _line(text: str, names: list[str], style: str, cells: int) -> Line:
    room = cells - len(text) - 1
    rest = fit(f": {', '.join(names)}", room) if room > 4 else ""
    return [(f" {text}"[:cells], style), (rest.rstrip(), "")]
