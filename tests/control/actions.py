"""An action on a board that only exists in a test: it says its state, commands replace it."""

from __future__ import annotations

from dataclasses import dataclass

from cohete.control.change import Change, Sections, Step
from cohete.links.commands import Probe


@dataclass(frozen=True, slots=True)
class Through:
    """Through these states to the last one; `back` is the way back."""

    states: tuple[str, ...]
    wanted: str
    back: str = ""

    @property
    def intent(self) -> str:
        return f"go to {self.wanted}"

    @property
    def probes(self) -> tuple[Probe, ...]:
        return (Probe("state", ("cat", "/state")),)

    def plan(self, device: str, board: Sections) -> Change:
        now = board["state"].decode().strip()
        if now == self.wanted:
            return Change(device, self.intent, now, self.wanted)
        return Change(
            device, self.intent, now, self.wanted,
            steps=tuple(Step(f"to {state}", ("go", state)) for state in self.states),
            undo=Through((self.back,), self.back) if self.back else None,
        )  # fmt: skip
