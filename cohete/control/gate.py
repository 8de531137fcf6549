"""Who may be changed: asked before every change, by whoever wants it."""

from __future__ import annotations

from dataclasses import dataclass

from cohete.config.spec import DeviceSpec, Reach


@dataclass(frozen=True, slots=True)
class Gate:
    """What is read-only: everything, or single devices by their configuration."""

    read_only: bool = False

    def refusal(self, spec: DeviceSpec) -> str:
        """Why this device must not be changed, in words; empty where it may be."""
        if self.read_only:
            return "Cohete runs read-only"
        if spec.read_only:
            return "the configuration says read_only for this device"
        if not spec.enabled:
            return "the configuration says enabled: false for this device"
        if spec.reach is Reach.REPLAY:
            return "this is a recording, not a board"
        return ""
