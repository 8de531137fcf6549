"""Who may guard a board: this program, unless it is read-only or another one does already."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from cohete.claim import DeviceClaims
from cohete.config.spec import DeviceSpec
from cohete.control.gate import Gate

FILE = "guards.lock"


@dataclass(frozen=True, slots=True)
class GuardGate(Gate):
    """For breakers, limits and switches: two programs would undo what the other has done."""

    claims: DeviceClaims = field(default_factory=lambda: DeviceClaims(Path(FILE)))

    def refusal(self, spec: DeviceSpec) -> str:
        """As for any change; and one program guards a board at a time."""
        refusal = Gate.refusal(self, spec)
        if refusal or self.claims.take(spec.id):
            return refusal
        return "another Cohete on this computer guards it"
