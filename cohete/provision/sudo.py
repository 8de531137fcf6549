"""The drop-in that lets Cohete's commands through sudo, checked by visudo before it counts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from cohete.control.change import Change, Need, Sections, Step, as_root, fed_lines
from cohete.control.commands import TEE
from cohete.control.sudoers import split
from cohete.errors import ChangeRefused, ConfigError
from cohete.links.commands import Probe
from cohete.text import decode

FILE = "/etc/sudoers.d/cohete"
PART = f"{FILE}.new"
"""With a dot in its name sudo does not read it."""
CAT, CHMOD, MV, TRUE = "/usr/bin/cat", "/usr/bin/chmod", "/usr/bin/mv", "/usr/bin/true"
VISUDO = "/usr/sbin/visudo"
MAX_CHARACTERS = 60_000
"""A single argument of a command has 131,072 bytes at most."""
_NO_FILE = re.compile(r"^cat: .*: No such file", re.ASCII)
READ_RULE = f"{CAT} {FILE}"


@dataclass(frozen=True, slots=True)
class InstallSudoRules:
    """Cohete's drop-in with these lines in it, for whoever is logged in; other lines stay.

    `text` makes what `cohete sudoers` prints, for a login name. What stands in the file under one
    of `features` and is not in the text is taken out.
    """

    text: Callable[[str], str]
    features: tuple[str, ...]

    @property
    def intent(self) -> str:
        return "let Cohete's commands through sudo"

    @property
    def probes(self) -> tuple[Probe, ...]:
        return (
            Probe("rules", as_root(CAT, FILE)),
            Probe("sudo", ("sudo", "-n", "-v")),
            Probe("user", ("id", "-un")),
        )

    def plan(self, device: str, board: Sections) -> Change:
        """Raises ChangeRefused where sudo wants a password: it has to be done there, once."""
        wanted, there = self._wanted(device, board), _there(board)
        ours, others = self._split(board)
        missing = len(_rules(wanted) - _rules(there))
        surplus = len(_rules(ours) - _rules(wanted))
        if not missing and not surplus:
            return Change(device, self.intent, "as they should be", "as they should be")
        said = decode(board.get("sudo", b"")).strip()
        if said:
            raise ChangeRefused(
                "sudo wants a password there, and Cohete never sends one", where=device,
                hint="On the board, once: `cohete sudoers` prints the lines for "
                f"`sudo visudo -f {FILE}`.",
            )  # fmt: skip
        lines = [*others, "", *wanted] if others else wanted
        _check_text(device, lines)
        words = [f"{missing} rules are missing"] if missing else []
        words += [f"{surplus} are not wanted"] if surplus else []
        return Change(
            device, self.intent, ", ".join(words) if there else "not there", "as they should be",
            steps=replaced_by(lines),
            needs=frozenset({Need.ROOT}),
            notes=(
                "Nothing counts before visudo has accepted it.",
                *(("What else stands in that file stays.",) if _rules(others) else ()),
            ),
            undo_words=f"Undone by taking these lines out of {FILE} there, with visudo -f.",
        )  # fmt: skip

    def is_left(self, board: Sections) -> bool:
        """Whether any rule of Cohete's stands in the file."""
        return bool(_rules(self._split(board)[0]))

    def lines_of_others(self, device: str, board: Sections) -> list[str]:
        """What stands in the file beside Cohete's; empty where that is no rule.

        Raises ChangeRefused where it cannot be written back.
        """
        left = self._split(board)[1]
        _check_text(device, left)
        return left if _rules(left) else []

    def _split(self, board: Sections) -> tuple[list[str], list[str]]:
        return split(_there(board), self.features, _user(board))

    def _wanted(self, device: str, board: Sections) -> list[str]:
        try:
            return self.text(_user(board)).strip().splitlines()
        except ConfigError as error:
            raise ChangeRefused(
                f"{error.what}, so that no sudo rule can name it", where=device,
                hint="Log in as another user of the board.",
            ) from None  # fmt: skip


def _user(board: Sections) -> str:
    return decode(board.get("user", b"")).strip()


def _rules(lines: Iterable[str]) -> set[str]:
    return {line for line in lines if line.strip() and not line.startswith("#")}


def replaced_by(lines: Sequence[str]) -> tuple[Step, ...]:
    """Cohete's drop-in with these lines, checked before it counts."""
    argvs = (
        ("check them", (VISUDO, "-c", "-f", PART)),
        ("for root only", (CHMOD, "440", PART)),
        ("let them count", (MV, PART, FILE)),
    )
    return (
        Step("write them beside", fed_lines(lines, as_root(TEE, PART))),
        *(Step(title, as_root(*argv)) for title, argv in argvs),
    )


def _check_text(device: str, lines: Sequence[str]) -> None:
    """Raises ChangeRefused where what stands there cannot be written back."""
    is_text = all(line.replace("\t", " ").isprintable() for line in lines)
    if not is_text or sum(map(len, lines)) > MAX_CHARACTERS:
        raise ChangeRefused(
            f"{FILE} is too long to be written, or no text", where=device,
            hint="Tidy it up there first, with visudo -f.",
        )  # fmt: skip


def _there(board: Sections) -> list[str]:
    found = decode(board.get("rules", b"")).strip()
    return [] if _NO_FILE.search(found) or found.startswith("sudo:") else found.splitlines()
