"""Clocks locked at their highest, and let go again, with jetson_clocks.

The clocks as they were are stored first, in a file that is gone after a restart as the lock is.
Never while the board is hot.
"""

from __future__ import annotations

from dataclasses import dataclass

from cohete.control.change import (
    Change,
    Need,
    Sections,
    Step,
    Verdict,
    as_root,
    by_exit_status,
    fed,
    missing_right,
    output_of,
)
from cohete.device.temperatures import THERMAL, hottest_from
from cohete.errors import ChangeRefused
from cohete.links.base import Completed
from cohete.links.commands import Probe
from cohete.power.jetson_clocks import Clocks, Lock, parse_clocks
from cohete.text import decode, sanitise

PROGRAM = "/usr/bin/jetson_clocks"
STORE = "/run/cohete_l4t_dfs.conf"
SHOW_RULE = f"{PROGRAM} --show"
STORE_RULE = f"{PROGRAM} --store {STORE}"
RESTORE_RULE = f"{PROGRAM} --restore {STORE}"
LOCK_RULE = f'{PROGRAM} ""'
"""Two quotes allow it without arguments only; with none of them sudo would allow all."""
HOT_C = 65.0
"""Where no thermal policy says otherwise."""

SHOW = Probe("jetson_clocks", ("timeout", "10", *as_root(PROGRAM, "--show")))
STORED = Probe("stored_clocks", ("ls", STORE))


@dataclass(frozen=True, slots=True)
class SetClocks:
    """Clocks locked at their highest, or free; refused from `limit_c` on."""

    locked: bool
    limit_c: float = HOT_C

    @property
    def intent(self) -> str:
        return "lock the clocks at their highest" if self.locked else "let the clocks go"

    @property
    def probes(self) -> tuple[Probe, ...]:
        return (SHOW, STORED, THERMAL)

    def plan(self, device: str, board: Sections) -> Change:
        """Raises ChangeRefused while it is hot, or where the clocks cannot be read or restored."""
        clocks = read_clocks(device, board)
        before = str(clocks.lock)
        wanted = Lock.LOCKED if self.locked else Lock.FREE
        change = Change(device, self.intent, before, str(wanted))
        if clocks.lock is wanted:
            return change
        return self._lock(device, board, before) if self.locked else _free(device, board, before)

    def lock_anyway(self, device: str, board: Sections) -> Change:
        """The same where something before it, a change of the mode, lets the clocks go."""
        return self._lock(device, board, str(read_clocks(device, board).lock))

    def _lock(self, device: str, board: Sections, before: str) -> Change:
        self._refuse_when_hot(device, board)
        return Change(
            device, self.intent, before, str(Lock.LOCKED),
            steps=(
                # It asks before it replaces a file of an earlier time.
                Step("store the clocks", fed("Y", as_root(PROGRAM, "--store", STORE)),
                     rule=STORE_RULE, judge=_judge),
                Step("lock the clocks", as_root(PROGRAM), rule=LOCK_RULE, judge=_judge),
            ),
            needs=frozenset({Need.ROOT}),
            notes=("The board draws more power and gets warmer, also when it is idle. The lock "
                   "ends with a change of the power mode and with a restart.",),
            undo=SetClocks(locked=False, limit_c=self.limit_c),
            undo_words="Undone by letting the clocks go: they are stored first.",
            settle_s=3.0,
        )  # fmt: skip

    def _refuse_when_hot(self, device: str, board: Sections) -> None:
        hottest = hottest_from(board.get(THERMAL.name, b""))
        if hottest is None or hottest.celsius is None:
            raise ChangeRefused(
                "its temperature cannot be read, and clocks are not locked without it", where=device
            )
        if hottest.celsius >= self.limit_c:
            raise ChangeRefused(
                f"{hottest.name} is at {hottest.celsius:.1f} C, and from {self.limit_c:g} C on "
                "clocks are not locked",
                where=device,
                hint="Let it cool first.",
            )


def _free(device: str, board: Sections, before: str) -> Change:
    if decode(board.get(STORED.name, b"")).strip() != STORE:
        raise ChangeRefused(
            "its clocks were not locked by Cohete: there is nothing stored to go back to",
            where=device,
            hint="Setting another power mode, or a restart, lets them go.",
        )
    return Change(
        device, SetClocks(locked=False).intent, before, str(Lock.FREE),
        steps=(Step("restore the clocks", as_root(PROGRAM, "--restore", STORE),
                    rule=RESTORE_RULE, judge=_judge),),
        needs=frozenset({Need.ROOT}),
        undo_words="Undone by locking them again.",
        settle_s=3.0,
    )  # fmt: skip


def read_clocks(device: str, board: Sections) -> Clocks:
    """The clocks from what the board said. Raises ChangeRefused where it does not say."""
    text = decode(board.get(SHOW.name, b""))
    clocks = parse_clocks(text)
    if clocks.lock is Lock.UNKNOWN:
        lacking = missing_right(Completed(1, text.encode(), b""), SHOW_RULE)
        said = lacking or sanitise(" ".join(text.split()), 160) or "nothing"
        raise ChangeRefused(f"jetson_clocks does not show its clocks: {said}", where=device)
    return clocks


def _judge(done: Completed) -> Verdict:
    """Its exit status is not always honest: it prints `Error` and ends well."""
    said = output_of(done)
    if done.exit_status == 0 and "error" not in said.casefold():
        return Verdict(True)
    return Verdict(False, said or by_exit_status(done).words)
