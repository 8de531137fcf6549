"""The part of the application that knows of recordings: it makes them, and plays them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from textual.message import Message

from cohete.errors import CoheteError
from cohete_tui.actions import ACTIONS, REPLAY_AREA
from cohete_tui.keys_in_order import KeysInOrder
from cohete_tui.link import LinkMeter, metered_driver
from cohete_tui.quantizing import JobState, QuantizeJob
from cohete_tui.replaying import Recordings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cohete.fleet.alerting import AlertKeeper
    from cohete.fleet.breakers import DeviceBreaker
    from cohete.fleet.changing import Changes
    from cohete.fleet.player import Player
    from cohete.fleet.state import Device
    from cohete.fleet.store import FleetStore
    from cohete.links.base import Link
    from cohete.telemetry.past import Past

_REPLAY_ACTIONS = frozenset(
    action.name.partition("(")[0] for action in ACTIONS if action.area == REPLAY_AREA
)


class Session(Protocol):
    """A running fleet, as the dashboard needs it."""

    store: FleetStore
    changes: Changes | None
    """What can be asked of the boards; None of a recording."""
    alerts: AlertKeeper | None

    def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def accept_key(self, device: Device) -> None: ...

    def retry(self, device_id: str) -> None: ...

    def breaker_of(self, device: Device) -> DeviceBreaker | None: ...

    def shell_argv(self, device: Device) -> list[str]: ...

    def link(self, device: Device) -> Link: ...

    async def past(self, device_id: str, from_ms: int, to_ms: int, step_ms: int) -> Past | None: ...


class Jumped(Message):
    """The recording is at another moment: everything on the screen is another."""


class ReplayApp(KeysInOrder, inherit_bindings=False):
    """An application over a session, which may be a recording."""

    def __init__(self, session: Session | None, link: LinkMeter, *, served: bool = False) -> None:
        super().__init__(driver_class=None if served else metered_driver(link))
        self.served = served
        self.link = link
        self._session = session
        self.recordings = Recordings()
        self.quantizing: QuantizeJob | None = None

    def show_error(self, error: CoheteError) -> None:
        """Say what went wrong and what to do."""
        self.notify(str(error), severity="error", timeout=10, markup=False)

    @property
    def running(self) -> tuple[str, ...]:
        """What goes on beside the fleet, for its header."""
        badges = (self.recordings.badge,) if self.recordings.badge else ()
        job = self.quantizing
        return (*badges, job.words) if job is not None and job.is_news else badges

    @property
    def recent_models(self) -> Path:
        """Where the models that were looked at last are remembered."""
        from platformdirs import user_state_path

        return user_state_path("cohete") / "models"

    @property
    def has_fleet(self) -> bool:
        """Whether there are devices at all."""
        return self._session is not None

    def show_wizard(self, boards: Sequence[str] = (), model: str = "") -> None:
        """Make a model that fits these boards."""
        from cohete_tui.screens.wizard import WizardScreen

        self.push_screen(WizardScreen(boards, model=model), self._left_wizard)

    def _left_wizard(self, result: object) -> None:
        if self.quantizing is not None:
            self.quantizing.is_news = self.quantizing.state is JobState.RUNNING
        if not self.has_fleet and not self._leads_to_a_fleet:
            self.exit()

    @property
    def _leads_to_a_fleet(self) -> bool:
        """Whether there is something beneath the wizard to come back to."""
        return len(self.screen_stack) > 2

    @property
    def player(self) -> Player | None:
        """What plays the recording that is shown; None where the present is."""
        return getattr(self._session, "player", None)

    @property
    def store_now(self) -> FleetStore:
        """The fleet as it is, also while a kept moment is shown."""
        assert self._session is not None
        return self._session.store

    @property
    def changes(self) -> Changes | None:
        """What can be asked of the boards; None where this is a recording."""
        return self._session.changes if self._session is not None else None

    @property
    def alerts(self) -> AlertKeeper | None:
        """What watches over the alerts; None where nothing does."""
        return self._session.alerts if self._session is not None else None

    def breaker_of(self, device: Device) -> DeviceBreaker | None:
        """The thermal breaker of a device; None where it has none."""
        return self._session.breaker_of(device) if self._session is not None else None

    def link_to(self, device: Device) -> Link:
        """The connection to a device. Raises CoheteError where there is none."""
        assert self._session is not None
        return self._session.link(device)

    async def past(self, device_id: str, from_ms: int, to_ms: int, step_ms: int) -> Past | None:
        """What was kept of a device; None where nothing is."""
        if self._session is None:
            return None
        return await self._session.past(device_id, from_ms, to_ms, step_ms)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Actions of a replay exist only in one, and nothing is recorded there."""
        if action in _REPLAY_ACTIONS:
            return self.player is not None
        if action == "record":
            return self._session is not None and self.player is None
        return True

    def is_refused_here(self, what: str) -> bool:
        """Say so where this is a browser, which may look and not write."""
        if self.served:
            self.notify(f"{what}: not in the browser, which only looks.", timeout=4, markup=False)
        return self.served

    async def action_record(self) -> None:
        assert self._session is not None
        if self.is_refused_here("A recording"):
            return
        try:
            if self.recordings.is_running:
                path = await self.recordings.stop()
                self.notify(f"Recorded in {path}.", timeout=6, markup=False)
            else:
                path = await self.recordings.start(self._session.store)
                self.notify(f"Recording to {path}; R ends it.", timeout=4, markup=False)
        except CoheteError as error:
            self.show_error(error)

    def action_play_pause(self) -> None:
        if self.player is not None:
            self.player.playing = not self.player.playing

    async def action_seek(self, seconds: int) -> None:
        if self.player is not None:
            await self.seek(self.player.now_ms + 1000 * seconds)

    async def seek(self, at_ms: int) -> None:
        """Jump to a moment of the recording."""
        if self.player is not None:
            await self.player.seek(at_ms)
            self.screen.post_message(Jumped())

    def action_speed(self, step: int) -> None:
        if self.player is not None:
            self.player.faster(step)

    async def action_next_event(self) -> None:
        if self.player is not None:
            if await self.player.next_event():
                self.screen.post_message(Jumped())
            else:
                self.notify("Nothing more happened.", timeout=3, markup=False)
