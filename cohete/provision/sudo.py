"""The drop-in that lets Cohete's commands through sudo, checked by visudo before it counts."""

from __future__ import annotations

from dataclasses import dataclass

from cohete.control.change import Change, Need, Sections, Step, as_root, fed_lines
from cohete.control.commands import TEE
from cohete.errors import ChangeRefused
from cohete.links.commands import Probe
from cohete.text import decode

FILE = "/etc/sudoers.d/cohete"
PART = f"{FILE}.new"
"""With a dot in its name sudo does not read it."""
CAT, CHMOD, MV, TRUE = "/usr/bin/cat", "/usr/bin/chmod", "/usr/bin/mv", "/usr/bin/true"
VISUDO = "/usr/sbin/visudo"
READ_RULE = f"{CAT} {FILE}"


@dataclass(frozen=True, slots=True)
class InstallSudoRules:
    """These lines as the drop-in of Cohete; `text` is what `cohete sudoers` prints."""

    text: str

    @property
    def intent(self) -> str:
        return "let Cohete's commands through sudo"

    @property
    def probes(self) -> tuple[Probe, ...]:
        return Probe("rules", as_root(CAT, FILE)), Probe("sudo", ("sudo", "-n", "-v"))

    def plan(self, device: str, board: Sections) -> Change:
        """Raises ChangeRefused where sudo wants a password: it has to be done there, once."""
        wanted = self.text.strip().splitlines()
        if decode(board.get("rules", b"")).strip().splitlines() == wanted:
            return Change(device, self.intent, "as they should be", "as they should be")
        said = decode(board.get("sudo", b"")).strip()
        if said:
            raise ChangeRefused(
                "sudo wants a password there, and Cohete never sends one", where=device,
                hint="On the board, once: `cohete sudoers` prints the lines for "
                f"`sudo visudo -f {FILE}`.",
            )  # fmt: skip
        argvs = (
            ("check them", (VISUDO, "-c", "-f", PART)),
            ("for root only", (CHMOD, "440", PART)),
            ("let them count", (MV, PART, FILE)),
        )
        return Change(
            device, self.intent, "not there, or other ones", "as they should be",
            steps=(
                Step("write them beside", fed_lines(wanted, as_root(TEE, PART))),
                *(Step(title, as_root(*argv)) for title, argv in argvs),
            ),
            needs=frozenset({Need.ROOT}),
            notes=("Nothing counts before visudo has accepted it.",),
            undo_words=f"Undone by `sudo rm {FILE}` there.",
        )  # fmt: skip
