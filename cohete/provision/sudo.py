"""The drop-in that lets Cohete's commands through sudo, checked by visudo before it counts."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from cohete.control.change import Change, Need, Sections, Step, as_root, fed_lines
from cohete.control.commands import TEE
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

    `text` makes what `cohete sudoers` prints, for a login name.
    """

    text: Callable[[str], str]

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
        try:
            wanted = self.text(decode(board.get("user", b"")).strip()).strip().splitlines()
        except ConfigError as error:
            raise ChangeRefused(
                f"{error.what}, so that no sudo rule can name it", where=device,
                hint="Log in as another user of the board.",
            ) from None  # fmt: skip
        found = decode(board.get("rules", b"")).strip()
        there = [] if _NO_FILE.search(found) or found.startswith("sudo:") else found.splitlines()
        missing = [line for line in wanted if line and line not in there]
        if not any(not line.startswith("#") for line in missing):
            return Change(device, self.intent, "as they should be", "as they should be")
        said = decode(board.get("sudo", b"")).strip()
        if said:
            raise ChangeRefused(
                "sudo wants a password there, and Cohete never sends one", where=device,
                hint="On the board, once: `cohete sudoers` prints the lines for "
                f"`sudo visudo -f {FILE}`.",
            )  # fmt: skip
        # What somebody else needs of it stays.
        lines = [*there, "", *missing] if there else wanted
        is_text = all(line.replace("\t", " ").isprintable() for line in there)
        if not is_text or sum(map(len, lines)) > MAX_CHARACTERS:
            raise ChangeRefused(
                f"{FILE} is too long to be added to, or no text", where=device,
                hint="Tidy it up there first, with visudo -f.",
            )  # fmt: skip
        argvs = (
            ("check them", (VISUDO, "-c", "-f", PART)),
            ("for root only", (CHMOD, "440", PART)),
            ("let them count", (MV, PART, FILE)),
        )
        return Change(
            device, self.intent,
            f"{sum(not line.startswith('#') for line in missing)} rules are missing"
            if there else "not there",
            "as they should be",
            steps=(
                Step("write them beside", fed_lines(lines, as_root(TEE, PART))),
                *(Step(title, as_root(*argv)) for title, argv in argvs),
            ),
            needs=frozenset({Need.ROOT}),
            notes=("Nothing counts before visudo has accepted it.",),
            undo_words=f"Undone by taking these lines out of {FILE} there, with visudo -f.",
        )  # fmt: skip
