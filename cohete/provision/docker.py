"""Docker's data on another disk: copied, compared byte for byte, then used; the old stays.

Nothing is deleted: what was at the old place is there until its owner removes it, and a Docker that
does not start from the new one is started from the old one again.
"""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass, replace

from cohete.control.change import (
    Change,
    Need,
    Sections,
    Step,
    Verdict,
    as_root,
    fed_lines,
    output_of,
)
from cohete.control.commands import TEE
from cohete.control.services import SYSTEMCTL, unit_step
from cohete.device.rooms import LOW_SHARE
from cohete.errors import ChangeRefused
from cohete.links.base import Completed
from cohete.links.commands import Probe
from cohete.storage.disks import PROBES as STORAGE_PROBES
from cohete.storage.disks import Storage, look
from cohete.storage.layout import ROOT, StorageLayout
from cohete.text import decode, sanitise

CONFIG = "/etc/docker/daemon.json"
NOTE = "/etc/docker/daemon.json.cohete-was"
"""Where the data was before the last move: its setting then, `{}` where there was none."""
DOCKER, DU, CP, ENV = "/usr/bin/docker", "/usr/bin/du", "/usr/bin/cp", "/usr/bin/env"
DIFF, RM, MV, RMDIR, MKDIR, LS = (
    "/usr/bin/diff", "/usr/bin/rm", "/usr/bin/mv", "/usr/bin/rmdir", "/usr/bin/mkdir",
    "/usr/bin/ls",
)  # fmt: skip
COPY_LIMIT_S = 4 * 3600.0
MAX_CONFIG = 65_536
_PATH = re.compile(r"/[A-Za-z0-9._/-]{1,200}", re.ASCII)
_SPECIAL = re.compile(
    r"File .+ is a (character special file|block special file|socket|fifo) while file .+ is a \1"
)
_STOPPED = re.compile(r"connect to the docker (?:daemon|api)", re.IGNORECASE)
"""What its client says of a daemon that does not run."""
DEFAULT_ROOT = "/var/lib/docker"
_UNITS = ("docker.socket", "docker.service")
_RESET = (SYSTEMCTL, "reset-failed", *_UNITS)


@dataclass(frozen=True, slots=True)
class MoveDocker:
    """Docker's data below `to`, a folder that is empty or not there."""

    to: str = f"{ROOT}/docker"
    disk: str = ""
    """The disk it has to be on; empty is any."""

    def __post_init__(self) -> None:
        _ = StorageLayout(self.to)

    @property
    def intent(self) -> str:
        return f"have Docker's data at {self.to}"

    @property
    def probes(self) -> tuple[Probe, ...]:
        info = ("timeout", "8", *as_root(DOCKER, "info", "--format={{.DockerRootDir}}"))
        return (
            *STORAGE_PROBES,
            Probe("docker_root", info),
            Probe("docker_config", ("cat", CONFIG)),
            Probe("docker_to", as_root(LS, "-A", self.to)),
            Probe("docker_part", ("timeout", "3", *as_root(DU, "-sk", _part(self.to)))),
            Probe("docker_size", ("timeout", "6", *as_root(DU, "-sk", DEFAULT_ROOT))),
        )

    def plan(self, device: str, board: Sections) -> Change:
        """Raises ChangeRefused where there is no Docker, no room, or something in the way."""
        written = _object(device, board.get("docker_config", b""), CONFIG)
        root, runs = _where(device, board, written)
        after = f"Docker's data is at {self.to}"
        if root == self.to:
            steps = () if runs else (unit_step("start", "docker.service"),)
            before = after if runs else f"{after}, and it does not run"
            return Change(device, self.intent, before, after, steps, needs=frozenset({Need.ROOT}))
        storage = look(board)
        home = storage.disk_of(root)
        if self.disk and home is not None and home.name == self.disk and runs:
            words = f"Docker's data is at {root}, on {self.disk} already"
            return Change(device, self.intent, words, words)
        is_there = _is_there(board)
        if is_there and runs:
            raise ChangeRefused(
                f"{self.to} holds something", where=device,
                hint="Nothing is copied over it: remove it there if it may go.",
            )  # fmt: skip
        self._check_disk(device, storage)
        if not is_there:
            self._check_room(device, storage, board, root)
        new = json.dumps({**written, "data-root": self.to}, indent=2)
        kept = (CP, "-n", CONFIG, f"{CONFIG}.cohete-backup")
        steps = (
            *(unit_step("stop", unit) for unit in _UNITS),
            *(
                (_compare(root, self.to),)
                if is_there
                else (
                    _root("make room for it", MKDIR, "-p", _part(self.to)),
                    _root("copy it", CP, "-a", f"{root}/.", _part(self.to), limit_s=COPY_LIMIT_S),
                    _compare(root, _part(self.to)),
                    _no_folder(self.to),
                    _root("put it in its place", MV, "-T", _part(self.to), self.to),
                )
            ),
            *((_root("keep the old settings", *kept),) if written else ()),
            _write(
                json.dumps({name: written[name] for name in ("data-root",) if name in written}),
                NOTE, "note where it was",
            ),
            _write(new),
            unit_step("start", "docker.service"),
        )  # fmt: skip
        old = json.dumps(written, indent=2) if written else ""
        return Change(
            device, self.intent,
            f"Docker's data is at {root}{'' if runs else ', and it does not run'}", after,
            steps=steps,
            needs=frozenset({Need.ROOT, Need.SERVICE_STOP}),
            notes=(
                "Every container stops meanwhile.",
                f"{root} stays as it is: remove it once all is well.",
            ),
            undo=RestoreDocker(root, old, self.to),
            undo_words=f"Undone by the old {CONFIG} and a restart of Docker.",
            if_cut=(unit_step("start", "docker.service"),),
            settle_s=15.0,
        )  # fmt: skip

    def _check_disk(self, device: str, storage: Storage) -> None:
        on = storage.disk_of(self.to)
        if self.disk and (on is None or on.name != self.disk):
            raise ChangeRefused(
                f"{self.to} is not on {self.disk}", where=device, hint="Have that disk there first."
            )

    def _check_room(self, device: str, storage: Storage, board: Sections, root: str) -> None:
        size = _kib(board, "docker_size") if root == DEFAULT_ROOT else None
        home, room = storage.room_for(root), storage.room_for(self.to)
        if room is None or (size is None and home is None):
            raise ChangeRefused("it cannot be told whether there is room for it", where=device)
        at_most = ""
        if size is None and home is not None:
            # Not counted in time: no more than everything that its disk holds.
            size, at_most = home.total - home.free, "up to "
        # What an earlier try has copied takes its room already.
        more = max(0, (size or 0) - (_kib(board, "docker_part") or 0))
        if room.free - more < LOW_SHARE * room.total:
            raise ChangeRefused(
                f"{at_most}{more / 1e9:.1f} GB would leave less than a tenth of {room.mount} free",
                where=device, hint="Make room there, or `docker system prune` what may go.",
            )  # fmt: skip


@dataclass(frozen=True, slots=True)
class RestoreDocker:
    """Docker with the settings it had, where its data still is; the copy is put aside."""

    root: str
    config: str
    """Its settings as they were; empty for none."""
    to: str
    """Where the copy is."""
    is_copy: bool = True
    """Whether what is there may be put aside."""

    @property
    def intent(self) -> str:
        return f"have Docker's data at {self.root} again"

    @property
    def probes(self) -> tuple[Probe, ...]:
        return MoveDocker(self.to).probes

    def plan(self, device: str, board: Sections) -> Change:
        """Done where Docker says so."""
        now = decode(board.get("docker_root", b"")).strip()
        after = f"Docker's data is at {self.root}"
        steps = _settings(self.config) if now != self.root else []
        if self.is_copy and _is_there(board):
            steps.append(_root("put the copy aside", MV, "-T", self.to, _part(self.to)))
        before = f"Docker's data is at {now}" if _PATH.fullmatch(now) else "Docker does not answer"
        before = before if steps else after
        return Change(device, self.intent, before, after, tuple(steps), settle_s=15.0)


@dataclass(frozen=True, slots=True)
class ReturnDocker:
    """Docker's data where it was before `moved`, as it was then; what is at the new place stays."""

    moved: MoveDocker

    @property
    def intent(self) -> str:
        return f"take back: {self.moved.intent}"

    @property
    def probes(self) -> tuple[Probe, ...]:
        return (*self.moved.probes, Probe("docker_was", ("cat", NOTE)))

    def plan(self, device: str, board: Sections) -> Change:
        """Raises ChangeRefused where nothing is left at the old place."""
        to = self.moved.to
        config = _object(device, board.get("docker_config", b""), CONFIG)
        root, runs = _where(device, board, config)
        if root != to:
            after = f"Docker's data is at {root}"
            # One that had been moved, and was left in the middle of its way back.
            stands = not runs and _is_there(board)
            return Change(
                device, self.intent, f"{after}, and it stands" if stands else after, after,
                (unit_step("start", "docker.service"),) if stands else (),
                needs=frozenset({Need.ROOT} if stands else ()), settle_s=15.0,
            )  # fmt: skip
        was = _object(device, board.get("docker_was", b""), NOTE)
        old = str(was.get("data-root", DEFAULT_ROOT))
        if not _PATH.fullmatch(old) or old == to:
            raise ChangeRefused(
                f"where Docker's data was before is not known: {NOTE} says `{sanitise(old, 60)}`",
                where=device, hint="It stays where it is.",
            )  # fmt: skip
        if _is_gone(board, old):
            raise ChangeRefused(
                f"nothing of Docker's is left at {sanitise(old, 60)}", where=device,
                hint=f"Its data is at {to} only, and stays there.",
            )  # fmt: skip
        # What its owner has changed since stays changed.
        changed = {name: value for name, value in config.items() if name != "data-root"}
        if "data-root" in was:
            changed["data-root"] = old
        now = json.dumps(config, indent=2)
        return Change(
            device, self.intent, f"Docker's data is at {to}{'' if runs else ', and it stands'}",
            f"Docker's data is at {old}",
            steps=(
                replace(_root("see that the old data is there", LS, "-A", old), judge=_holds),
                *_settings(json.dumps(changed, indent=2) if changed else ""),
            ),
            needs=frozenset({Need.ROOT, Need.SERVICE_STOP}),
            notes=(
                "Every container stops meanwhile.",
                f"What was written since it was moved stays at {to}: containers and volumes "
                f"at {old} are as they were then.",
                f"It is moved again only once {to} is empty.",
            ),
            undo=RestoreDocker(to, now, to, is_copy=False),
            undo_words=f"Undone by \"data-root\": \"{to}\" in {CONFIG} and a restart of Docker.",
            if_cut=(unit_step("start", "docker.service"),),
            settle_s=15.0,
        )  # fmt: skip


def rules_for(to: str = f"{ROOT}/docker") -> tuple[str, ...]:
    """The sudo rules that this step needs, for data where Docker puts it by itself."""
    root, part = DEFAULT_ROOT, _part(to)
    return (
        f"{DOCKER} info --format={{{{.DockerRootDir}}}}", f"{LS} -A {to}", f"{LS} -A {root}",
        f"{DU} -sk {root}", f"{DU} -sk {part}",
        *(f"/bin/systemctl stop {unit}" for unit in _UNITS), "/bin/systemctl start docker.service",
        f"{MKDIR} -p {part}", f"{CP} -a {root}/. {part}",
        f"{ENV} LC_ALL=C {DIFF} -rq --no-dereference {root} {part}",
        f"{ENV} LC_ALL=C {DIFF} -rq --no-dereference {root} {to}",
        f"{RMDIR} {to}", f"{MV} -T {part} {to}", f"{MV} -T {to} {part}",
        f"{CP} -n {CONFIG} {CONFIG}.cohete-backup", f"{TEE} {CONFIG}", f"{TEE} {NOTE}",
        f"{RM} -f {CONFIG}", " ".join(_RESET),
    )  # fmt: skip


def _object(device: str, raw: bytes, path: str) -> dict[str, object]:
    """What a file of settings says; empty where there is none. Raises ChangeRefused."""
    said = decode(raw).strip()
    if not said or (said.startswith("cat: ") and "No such file" in said):
        return {}
    try:
        found = json.loads(said[:MAX_CONFIG])
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ChangeRefused(
            f"{path} cannot be read as JSON, and is left alone", where=device,
            hint=sanitise(" ".join(said.split()), 120),
        )  # fmt: skip
    return found


def _where(device: str, board: Sections, config: dict[str, object]) -> tuple[str, bool]:
    """Where its data is, and whether Docker runs. Raises ChangeRefused where that is unknown."""
    said = decode(board.get("docker_root", b"")).strip()
    runs = _PATH.fullmatch(said) is not None
    # One that was stopped for this, and left so by a cut connection, says it in its settings.
    root = said if runs else str(config.get("data-root", DEFAULT_ROOT))
    if not runs and not (_STOPPED.search(said) and _PATH.fullmatch(root)):
        raise ChangeRefused(
            "Docker does not tell where its data is", where=device,
            hint=sanitise(" ".join(said.split()), 120) or "Is it installed?",
        )  # fmt: skip
    return root, runs


def _settings(text: str) -> list[Step]:
    """Docker stopped, given these settings, and started; an empty text is none of them."""
    return [
        *(unit_step("stop", unit) for unit in _UNITS),
        _write(text) if text else _root("its own settings", RM, "-f", CONFIG),
        # A few starts that failed are all that systemd allows in a minute.
        replace(_root("forget starts that failed", *_RESET), goes_on=True),
        unit_step("start", "docker.service"),
    ]


def _root(title: str, *argv: str, limit_s: float = 60.0) -> Step:
    return Step(title, as_root(*argv), rule=shlex.join(argv), limit_s=limit_s)


def _kib(board: Sections, name: str) -> int | None:
    """Bytes that `du -sk` counted; None where it did not come to an end."""
    found = re.match(r"(\d{1,15})\s", decode(board.get(name, b"")))
    return int(found[1]) * 1024 if found else None


def _part(to: str) -> str:
    return f"{to}.cohete-part"


def _is_there(board: Sections) -> bool:
    said = decode(board.get("docker_to", b""))
    return bool(said.strip()) and "No such file" not in said


def _is_gone(board: Sections, root: str) -> bool:
    """Whether it is known that nothing is there; it is looked at once more before all else."""
    said = decode(board.get("docker_size", b""))
    return root == DEFAULT_ROOT and "No such file" in said


def _holds(done: Completed) -> Verdict:
    is_there = done.exit_status == 0 and bool(decode(done.stdout).strip())
    return Verdict(is_there, "" if is_there else output_of(done) or "nothing is there any more")


def _compare(root: str, other: str) -> Step:
    # What it says of special files is read.
    argv = (ENV, "LC_ALL=C", DIFF, "-rq", "--no-dereference", root, other)
    step = _root("compare every byte", *argv, limit_s=COPY_LIMIT_S)
    return replace(step, judge=_same)


def _no_folder(path: str) -> Step:
    """Where there is an empty one."""
    line = f"test ! -d {shlex.quote(path)} || {shlex.join(as_root(RMDIR, path))}"
    return Step("take the empty folder away", ("sh", "-c", line), rule=f"{RMDIR} {path}")


def _write(text: str, path: str = CONFIG, title: str = "write its settings") -> Step:
    argv = (TEE, path)
    return Step(title, fed_lines(text.splitlines(), as_root(*argv)), rule=" ".join(argv))


def _same(done: Completed) -> Verdict:
    """Equal; devices, sockets and pipes have no bytes to compare and are told by diff as such."""
    lines = [line for line in decode(done.stdout + done.stderr).splitlines() if line.strip()]
    if done.exit_status in (0, 1) and all(_SPECIAL.fullmatch(line) for line in lines):
        return Verdict(bool(done.exit_status == 0 or lines), "" if lines else "they differ")
    return Verdict(False, output_of(done) or "they differ")
