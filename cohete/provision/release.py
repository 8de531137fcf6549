"""Whether a board's release of Jetson Linux is one to set up, and what to do about it. Pure."""

from __future__ import annotations

from dataclasses import dataclass

NEWEST = {32: "32.7.6", 35: "35.6.4", 36: "36.5.0", 38: "38.4.0", 39: "39.2.1"}
"""The newest release of each line that is known here."""
JETPACK = {32: "4", 35: "5", 36: "6", 38: "7.0", 39: "7"}


@dataclass(frozen=True, slots=True)
class Judged:
    """`is_supported`: JetPack 5 and later. `advice` is empty where there is nothing to do."""

    is_supported: bool
    words: str
    advice: str = ""


def judge(l4t: str | None) -> Judged:
    """A release as `36.4.3`; None is a board that does not tell. Never raises."""
    if l4t is None:
        return Judged(
            False, "it does not tell its release",
            "Is this a Jetson with L4T? /etc/nv_tegra_release is missing.",
        )  # fmt: skip
    parts = _numbers(l4t)
    if not parts:
        return Judged(False, f"{l4t[:32]!r} is no release", "Report this line, please.")
    major = parts[0]
    if major < 32:
        return Judged(
            False, f"L4T {l4t} is no longer maintained", "Flash a newer JetPack: sdkmanager does."
        )
    if major not in NEWEST:
        if major > max(NEWEST):
            return Judged(True, f"L4T {l4t} is newer than what is known here")
        return Judged(False, f"L4T {l4t} was a preview", "Flash a release: sdkmanager does.")
    newest = NEWEST[major]
    name = f"L4T {l4t}, JetPack {JETPACK[major]}"
    advice = "" if parts >= _numbers(newest) else f"{newest} is the newest of its line."
    if major == 32:
        return Judged(
            False, f"{name}: watched and changed, not set up",
            "JetPack 5 and later are set up; a Nano has none.",
        )  # fmt: skip
    return Judged(True, name, advice)


def _numbers(text: str) -> tuple[int, ...]:
    parts = text.split(".")
    if not 1 <= len(parts) <= 4 or not all(p.isascii() and p.isdigit() for p in parts):
        return ()
    return tuple(int(part[:6]) for part in parts)
