"""One change on one device: its commands, what the device says afterwards, and the way back.

Whatever goes wrong on the way - a connection that is cut, a command that hangs or fails, a
read-back that differs - the device is looked at again, and the result says what was found.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from cohete.clock import Clock
from cohete.config.spec import DeviceSpec
from cohete.control.audit import AuditLog
from cohete.control.change import Action, Change, Sections, Step, output_of
from cohete.control.looking import Movable, Runner, boot_id_of, read
from cohete.control.outcome import Outcome, Result
from cohete.errors import AuditError, ChangeRefused, CommandError, LinkError
from cohete.links.base import Completed, put_over
from cohete.threads import to_its_end

BACK_WITHIN_S = 30.0
"""How long a connection that was lost in the middle of a change is waited for."""
REBOOT_WITHIN_S = 300.0
NO_REBOOT_S = 20.0
"""A board that has not gone away by then, and is as wanted, needed no reboot."""
_RETRY_S = 1.0

Progress = Callable[[str], None]

_log = logging.getLogger("cohete.control")
_log.addHandler(logging.NullHandler())


@dataclass(frozen=True, slots=True)
class _Trouble:
    words: str
    reboot: bool = False
    is_sure: bool = True
    """Whether a command ended, and said so; a cut connection says nothing."""


class Attempt:
    """One change on one device, from its first command to its result."""

    def __init__(
        self,
        audit: AuditLog,
        clock: Clock,
        spec: DeviceSpec,
        runner: Runner,
        action: Action,
        progress: Progress | None = None,
    ) -> None:
        self._audit = audit
        self._clock = clock
        self._spec = spec
        self._runner = runner
        self._action = action
        self._progress = progress or _silent
        self._number = ""
        self._audit_words = ""
        self._boot_id = ""
        self._moves_to = ""
        self._left = ""
        """What was stopped for a reboot and could not be started again."""

    def result(
        self, outcome: Outcome, words: str = "", *, before: str = "", found: str = ""
    ) -> Result:
        """What came of it, in words."""
        return Result(self._spec.id, self._action.intent, outcome, words, before, found)

    async def refused(self, words: str) -> Result:
        """Nothing runs, and the audit log says that somebody wanted it."""
        await self._note(self._audit.refused, self._spec.id, self._action.intent, words)
        return self.result(Outcome.REFUSED, words)

    async def go(self, change: Change, boot_id: str, *, reboot: bool) -> Result:
        """Run it, look at the device again, and say how it is now."""
        self._boot_id = boot_id
        try:
            self._number = await asyncio.to_thread(self._audit.begin, change)
        except AuditError as error:
            return self.result(Outcome.REFUSED, str(error), before=change.before)
        try:
            result = await self._attempt(change, reboot=reboot)
        except asyncio.CancelledError:
            await to_its_end(self._interrupted(change))
            raise
        except Exception as error:  # noqa: BLE001 - told as the result, and never lost
            words = f"{surprise(error)}; it was: {change.before}"
            result = self.result(Outcome.UNKNOWN, words, before=change.before)
        await self._end(result.outcome, result.found, result.words)
        if self._audit_words:
            words = "; ".join(part for part in (result.words, self._audit_words) if part)
            return self.result(result.outcome, words, before=result.before, found=result.found)
        return result

    async def _interrupted(self, change: Change) -> None:
        words = "interrupted; what was begun may still be running on the board"
        left = await self._start_again(change.if_cut)
        if left is not None:
            words = f"{words}; {left.words}"
        await self._end(Outcome.INTERRUPTED, "", words)

    async def _attempt(self, change: Change, *, reboot: bool) -> Result:
        self._moves_to = change.moves_to
        trouble = await self._steps(change.steps)
        if trouble is not None:
            await self._move("")
        patience_s = change.patience_s or BACK_WITHIN_S
        if trouble is not None and trouble.reboot and reboot and change.reboot_steps:
            trouble = await self._reboot(change)
            patience_s = REBOOT_WITHIN_S
        words = trouble.words if trouble is not None else ""
        if change.is_blind:
            if trouble is None:
                return self.result(Outcome.DONE, "its exit status is all there is to know")
            return self.result(Outcome.BROKE if trouble.is_sure else Outcome.UNKNOWN, words)
        self._progress("reading back")
        settle_s = change.settle_s if trouble is None else 0.0
        now = await self._read_back(self._action, settle_s, patience_s)
        if isinstance(now, ChangeRefused):
            words = "; ".join(part for part in (words, now.what) if part)
            if change.undo is not None and not self._left:
                return await self._put_back(change, change.undo, now.what, words)
        if now is None or isinstance(now, ChangeRefused):
            words = words or "the board cannot be read any more"
            return self.result(
                Outcome.UNKNOWN, f"{words}; it was: {change.before}", before=change.before
            )
        if self._left:
            # Not as it was, whatever the board says of what was wanted.
            return self.result(Outcome.FAILED, words, before=change.before, found=now.before)
        if now.is_done:
            words = f"{words}, yet it is in" if words else now.readings
            return self.result(Outcome.DONE, words, before=change.before, found=now.before)
        if trouble is not None and trouble.reboot and now.before == change.before:
            return self.result(Outcome.REBOOT_NEEDED, words, before=change.before, found=now.before)
        words = words or "the board took every command and still says otherwise"
        if now.before == change.before:
            return self.result(Outcome.UNCHANGED, words, before=change.before, found=now.before)
        if change.undo is None:
            return self.result(Outcome.FAILED, words, before=change.before, found=now.before)
        return await self._put_back(change, change.undo, now.before, words)

    async def _put_back(self, change: Change, way_back: Action, found: str, words: str) -> Result:
        self._progress("putting back")
        undo = await self._read_back(way_back, 0.0, BACK_WITHIN_S)
        settle_s = 0.0
        if isinstance(undo, Change):
            trouble = await self._steps(undo.steps)
            if trouble is not None:
                words = f"{words}; putting it back failed: {trouble.words}"
            else:
                settle_s = undo.settle_s
        elif undo is not None:
            words = f"{words}; it cannot be put back: {undo.what}"
        again = await self._read_back(self._action, settle_s, BACK_WITHIN_S, until=change.before)
        if not isinstance(again, Change):
            last = again.what if again is not None else found
            return self.result(
                Outcome.UNKNOWN, f"{words}; it was last: {last}", before=change.before
            )
        outcome = Outcome.UNDONE if again.before == change.before else Outcome.FAILED
        return self.result(outcome, words, before=change.before, found=again.before)

    async def _steps(self, steps: tuple[Step, ...]) -> _Trouble | None:
        """Run them in order, up to the first that fails; those that say so go on."""
        troubles: list[_Trouble] = []
        was_ok = True
        for step in steps:
            if step.only_after_ok and not was_ok:
                continue
            trouble = await self._step(step)
            was_ok = trouble is None
            if trouble is not None:
                troubles.append(trouble)
                if not step.goes_on:
                    break
        if not troubles:
            return None
        words = "; ".join(trouble.words for trouble in troubles)
        return _Trouble(
            words, any(trouble.reboot for trouble in troubles),
            all(trouble.is_sure for trouble in troubles),
        )  # fmt: skip

    async def _step(self, step: Step) -> _Trouble | None:
        self._progress(step.title)
        try:
            done = await (self._anew(step) if step.anew else self._carry_out(step))
        except (LinkError, CommandError) as error:
            await self._note(
                self._audit.ran, self._number, self._spec.id, step.line, None, error.what
            )
            if step.ends_connection and isinstance(error, LinkError):
                return None
            return _Trouble(f"{step.title}: {error.what}", is_sure=False)
        said = output_of(done, 1_000)
        await self._note(
            self._audit.ran, self._number, self._spec.id, step.line, done.exit_status, said
        )
        if step.ends_connection and done.exit_status is None:
            return None
        verdict = step.verdict(done)
        if verdict.ok:
            return None
        is_sure = done.exit_status is not None
        return _Trouble(f"{step.title}: {verdict.words}", verdict.reboot, is_sure)

    async def _carry_out(self, step: Step) -> Completed:
        upload = step.upload
        if upload is None:
            return await self._runner.run(step.argv, timeout_s=step.limit_s)

        def sent(done: int, total: int) -> None:
            self._progress(f"{step.title} {100 * done // max(1, total)} %")

        try:
            async with asyncio.timeout(step.limit_s):
                await put_over(self._runner, upload.local, upload.remote, sent)
        except TimeoutError:
            raise CommandError(f"it was not copied within {step.limit_s:.0f} s") from None
        return Completed(0, b"", b"")

    async def _anew(self, step: Step) -> Completed:
        """Until it has gone well over a connection that was not there before."""
        clock = self._clock
        give_up_at = clock.monotonic() + step.limit_s
        while True:
            await clock.sleep(_RETRY_S)
            await self._move(self._moves_to)
            try:
                done = await self._runner.run(step.argv, timeout_s=step.limit_s)
            except (LinkError, CommandError):
                if clock.monotonic() >= give_up_at:
                    raise
            else:
                if step.verdict(done).ok or clock.monotonic() >= give_up_at:
                    return done

    async def _move(self, host: str) -> None:
        if isinstance(self._runner, Movable):
            await self._runner.move(host)

    async def _reboot(self, change: Change) -> _Trouble | None:
        """Drain, reboot, go on; what was drained is started again on every way out."""
        trouble: _Trouble | None = None
        try:
            trouble = await self._steps(change.reboot_steps)
            if trouble is None:
                self._progress("rebooting")
                trouble = await self._rebooted() or await self._steps(change.after_reboot)
        finally:
            left = await to_its_end(self._start_again(change.undrain))
        if left is None:
            return trouble
        self._left = left.words
        words = f"{trouble.words}; {left.words}" if trouble is not None else left.words
        return _Trouble(words)

    async def _start_again(self, steps: tuple[Step, ...]) -> _Trouble | None:
        """Start what was stopped; a connection that was lost meanwhile is waited for."""
        if not steps:
            return None
        clock = self._clock
        give_up_at = clock.monotonic() + BACK_WITHIN_S
        while True:
            left = await self._steps(steps)
            if left is None or left.is_sure or clock.monotonic() >= give_up_at:
                return left
            await clock.sleep(_RETRY_S)

    async def _rebooted(self) -> _Trouble | None:
        """Until the board is back and says that it has started anew."""
        clock = self._clock
        begun = clock.monotonic()
        deadline = begun + REBOOT_WITHIN_S
        while clock.monotonic() < deadline:
            await clock.sleep(_RETRY_S)
            try:
                sections = await read(self._spec, self._runner, self._action)
            except (LinkError, CommandError):
                continue
            if boot_id_of(sections) != self._boot_id:
                return None
            if clock.monotonic() - begun > NO_REBOOT_S and self._is_done(sections):
                # It was set without one.
                return None
        return _Trouble(f"it has not come back within {REBOOT_WITHIN_S:g} s of its reboot")

    def _is_done(self, sections: Sections) -> bool:
        try:
            return self._action.plan(self._spec.id, sections).is_done
        except ChangeRefused:
            return False

    async def _read_back(
        self, action: Action, settle_s: float, patience_s: float, *, until: str = ""
    ) -> Change | ChangeRefused | None:
        """How the board is now, waiting `settle_s` for it to show; None if it cannot be read, and
        the refusal where it is so that the action cannot be meant of it any more.

        Settled is a change that is done or, with `until`, a board that is as it was before.
        """
        clock = self._clock
        settled_by = clock.monotonic() + settle_s
        give_up_at = clock.monotonic() + patience_s
        while True:
            try:
                now = action.plan(self._spec.id, await read(self._spec, self._runner, action))
            except ChangeRefused as refusal:
                if clock.monotonic() >= settled_by:
                    return refusal
            except (LinkError, CommandError):
                if clock.monotonic() >= give_up_at:
                    return None
            else:
                settled = now.before == until if until else now.is_done
                if settled or clock.monotonic() >= settled_by:
                    return now
            await clock.sleep(_RETRY_S)

    async def _end(self, outcome: Outcome, found: str, words: str) -> None:
        await self._note(self._audit.end, self._number, self._spec.id, outcome.value, found, words)

    async def _note(self, write: Callable[..., None], *fields: str | int | None) -> None:
        """A line of the audit log; that it could not be written becomes part of the result."""
        try:
            await asyncio.to_thread(write, *fields)
        except AuditError as error:
            self._audit_words = str(error)


def surprise(error: Exception) -> str:
    """A bug, in words for the person it happened to; the log keeps the rest."""
    _log.error("unexpected error while a board was changed", exc_info=error)
    return f"unexpected {type(error).__name__}; this is a bug, please report it"


def _silent(text: str) -> None:
    """Nobody watches the steps."""
