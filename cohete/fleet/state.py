"""What is known of one device right now: its state in words, its last sample, a short history."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from enum import StrEnum

from cohete.config.spec import DeviceSpec
from cohete.device.identity import Facts
from cohete.fleet.recent import History
from cohete.tegra import TegraStats
from cohete.tegra.rules import Reading
from cohete.thermal.breaker import BreakerState
from cohete.thermal.throttle import Throttling

FLAP_WINDOW_S = 600.0
FLAP_LIMIT = 5
TRIES_KEPT = 30


class State(StrEnum):
    """Where a device stands, in a word a person reads."""

    CONNECTING = "connecting"
    LIVE = "live"
    STALE = "stale"
    LOST = "lost"
    REFUSED = "refused"
    DISABLED = "disabled"

    @property
    def is_up(self) -> bool:
        """Whether samples are coming."""
        return self is State.LIVE


GLYPHS = {
    State.CONNECTING: "…",
    State.LIVE: "●",
    State.STALE: "◐",
    State.LOST: "✕",
    State.REFUSED: "⊘",
    State.DISABLED: "○",
}
"""A state is never a colour alone."""


class Refusal(StrEnum):
    """Why a device waits for a person."""

    LOGIN = "login"
    KEY_UNKNOWN = "unknown key"
    KEY_CHANGED = "key changed"
    OTHER = "refused"


@dataclass(frozen=True, slots=True)
class Try:
    """An attempt to connect: when, how long it took, why it failed (empty: it did not)."""

    wall_s: float
    took_s: float
    error: str


@dataclass(frozen=True, slots=True)
class Event:
    """Something rare that happened; samples are no events."""

    number: int
    wall_s: float
    device: str
    kind: str
    text: str
    hint: str = ""
    """What to do next, where somebody has to."""


class Device:
    """The latest of one device. Written by the supervisor through the store, read by everybody."""

    __slots__ = (
        "_words",
        "_words_at",
        "attempts",
        "breaker",
        "description",
        "dropped_lines",
        "error",
        "facts",
        "facts_at",
        "fingerprint",
        "gpu_fallback",
        "gpu_fallback_at",
        "hint",
        "history",
        "index",
        "key_line",
        "last_line_at",
        "limit_words",
        "live_since",
        "lives",
        "next_try_at",
        "noise_lines",
        "profile_name",
        "reading",
        "reasons",
        "refusal",
        "samples",
        "since",
        "spec",
        "state",
        "stats",
        "stats_at",
        "sudo_note",
        "throttling",
        "told_at",
        "tries",
        "version",
        "was_live",
        "with_root",
    )

    def __init__(self, spec: DeviceSpec, index: int, now_s: float) -> None:
        self.spec = spec
        self.index = index
        self.limit_words: dict[str, str] = {}
        """By the name of a limit that is kept: value, limit, steps taken."""
        self.profile_name = spec.power_profile or ""
        """The power profile it should have now: the configured one, or what a switch chose."""
        self.told_at: dict[str, float] = {}
        """When each kind of event was told of it last; monotonic seconds."""
        self.state = State.CONNECTING if spec.enabled else State.DISABLED
        self.since = now_s
        self.error = ""
        self.hint = ""
        self.refusal: Refusal | None = None
        self.fingerprint = ""
        self.key_line = ""
        self.description = str(spec.target)
        self.attempts = 0
        self.next_try_at: float | None = None
        self.stats: TegraStats | None = None
        self.stats_at = 0.0
        self.last_line_at = 0.0
        self.samples = 0
        self.noise_lines = 0
        self.dropped_lines = 0
        self.with_root = False
        self.sudo_note = ""
        self.facts: Facts | None = None
        self.facts_at = 0.0
        self.gpu_fallback: int | None = None
        self.gpu_fallback_at = 0.0
        self.reasons: dict[str, str] = {}
        self.history = History()
        self.live_since: float | None = None
        self.lives: tuple[float, ...] = ()
        self.tries: tuple[Try, ...] = ()
        self.was_live = False
        self.reading: Reading | None = None
        self.breaker: BreakerState | None = None
        self.throttling: tuple[Throttling, ...] = ()
        self.version = 0
        self._words = ""
        self._words_at = 0.0
        """Of the facts of which time they are: the facts themselves are not kept for them."""

    def snapshot(self) -> Device:
        """This device as it is now; what happens to it later does not reach the copy."""
        device = copy.copy(self)
        device.history = self.history.snapshot()
        device.reasons = dict(self.reasons)
        return device

    def tried(self, attempt: Try) -> None:
        """Keep an attempt to connect; of old ones only the last."""
        if self.tries and self.tries[-1].error == attempt.error:
            # A board that is away says the same for days.
            attempt = replace(attempt, error=self.tries[-1].error)
        self.tries = (*self.tries[1 - TRIES_KEPT :], attempt)

    def came_alive(self, now_s: float) -> None:
        """Keep when it was connected, for `is_flapping`."""
        self.lives = (*self.lives[-FLAP_LIMIT:], now_s)

    @property
    def id(self) -> str:
        return self.spec.id

    @property
    def interval_s(self) -> float:
        """Time between samples that was asked for."""
        return self.spec.interval_ms / 1000

    def age_s(self, now_s: float) -> float | None:
        """Seconds since the last sample arrived; None before the first."""
        return None if self.stats is None else max(0.0, now_s - self.stats_at)

    def gpu_percent(self, now_s: float) -> int | None:
        """GPU load from tegrastats, else the other source while it is fresh."""
        if self.stats is not None and self.stats.gpu_percent is not None:
            return self.stats.gpu_percent
        if self.gpu_fallback is not None and now_s - self.gpu_fallback_at <= 10:
            return self.gpu_fallback
        return None

    def facts_age_s(self, now_s: float) -> float | None:
        """Seconds since the facts were read; None before that."""
        return None if self.facts is None else max(0.0, now_s - self.facts_at)

    def is_flapping(self, now_s: float) -> bool:
        """Whether it came and went too often lately to be worth a notice each time."""
        return len(self.lives) > FLAP_LIMIT and now_s - self.lives[0] < FLAP_WINDOW_S

    @property
    def module_name(self) -> str:
        """The module, as far as it is known."""
        return self.facts.module_name if self.facts else ""

    @property
    def mode_name(self) -> str:
        """The active power mode by name; empty while unknown."""
        mode = self.facts.power_mode if self.facts else None
        return mode.name if mode else ""

    @property
    def words(self) -> str:
        """What identifies it, in lower case, for filters: id, address, module, mode, site, tags."""
        if not self._words or self._words_at != self.facts_at:
            spec = self.spec
            parts = (
                self.id,
                str(spec.target),
                self.module_name,
                self.mode_name,
                spec.site or "",
                *spec.tags,
            )
            self._words = " ".join(parts).casefold()
            self._words_at = self.facts_at
        return self._words
