"""Applies changes: refuse or run, read back, put back what failed, and say exactly how it is.

Everything on a device that is not reading comes this way.
"""

from __future__ import annotations

import asyncio

from cohete.clock import Clock
from cohete.config.spec import DeviceSpec
from cohete.control.attempt import Attempt, Progress, surprise
from cohete.control.audit import AuditLog
from cohete.control.change import Action, Change
from cohete.control.gate import Gate
from cohete.control.looking import Movable, Runner, boot_id_of, read
from cohete.control.outcome import Outcome, Result
from cohete.errors import ChangeRefused, CommandError, LinkError


def lane_of(action: Action) -> str:
    """Changes of one board wait for each other within a lane.

    Holding work of a board that is too hot waits for no mode change, and nothing for a copy.
    """
    return str(getattr(action, "LANE", ""))


class Control:
    """The one way to touch a device."""

    def __init__(self, gate: Gate, audit: AuditLog, clock: Clock) -> None:
        self.gate = gate
        self._audit = audit
        self.clock = clock
        self._turns: dict[tuple[str, str], asyncio.Lock] = {}

    async def look(self, spec: DeviceSpec, runner: Runner, action: Action) -> Change:
        """What the action means on this device now; only reads.

        Raises ChangeRefused where the device cannot do it, LinkError, CommandError.
        """
        return action.plan(spec.id, await read(spec, runner, action))

    async def apply(
        self,
        spec: DeviceSpec,
        runner: Runner,
        action: Action,
        *,
        shown: Change | None = None,
        reboot: bool = False,
        progress: Progress | None = None,
    ) -> Result:
        """Make it so, or say why not. Never raises what a device does.

        With `shown`, nothing runs but what a person was shown. `reboot` is a person's explicit yes
        to a reboot of this device.
        """
        # A breaker, a limit and a person may want something of the same board at once.
        async with self._turns.setdefault((spec.id, lane_of(action)), asyncio.Lock()):
            attempt = Attempt(self._audit, self.clock, spec, runner, action, progress)
            return await self._in_turn(attempt, spec, runner, action, shown, reboot=reboot)

    async def _in_turn(
        self,
        attempt: Attempt,
        spec: DeviceSpec,
        runner: Runner,
        action: Action,
        shown: Change | None,
        *,
        reboot: bool,
    ) -> Result:
        refusal = self.gate.refusal(spec)
        if refusal:
            return await attempt.refused(refusal)
        try:
            sections = await read(spec, runner, action)
            change = action.plan(spec.id, sections)
        except ChangeRefused as error:
            return await attempt.refused(_sentence(error))
        except (LinkError, CommandError) as error:
            return attempt.result(Outcome.UNREACHED, f"nothing was run: {_sentence(error)}")
        except Exception as error:  # noqa: BLE001 - one board must never end what others do
            return attempt.result(Outcome.UNREACHED, f"nothing was run: {surprise(error)}")
        if change.is_done:
            return attempt.result(
                Outcome.ALREADY, change.readings, found=change.before, before=change.before
            )
        if shown is not None and shown.lines != change.lines:
            return await attempt.refused(
                "the board is not as it was when this was shown; nothing was run. Look again"
            )
        if change.moves_to and not isinstance(runner, Movable):
            return await attempt.refused(
                "this connection cannot follow the board to another address; nothing was run. "
                "`cohete provision` and `cohete setup` can"
            )
        return await attempt.go(change, boot_id_of(sections), reboot=reboot)


def _sentence(error: ChangeRefused | LinkError | CommandError) -> str:
    return f"{error.what}. {error.hint}" if error.hint else error.what
