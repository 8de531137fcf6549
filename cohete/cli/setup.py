"""`cohete setup`: a fresh board led to a watched one, a question at a time."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cohete.cli.options import config_option

if TYPE_CHECKING:
    from cohete.cli.acting import Options
    from cohete.control.change import Action, Change
    from cohete.control.outcome import Result
    from cohete.device.identity import Facts
    from cohete.errors import CoheteError
    from cohete.fleet.session import FleetPlan
    from cohete.links.reopening import ReopeningLink
    from cohete.provision.record import SetupRecord
    from cohete.provision.setup import Local, SetupStep, Wishes


@click.command()
@click.argument("target")
@config_option
@click.option("--interactive", is_flag=True, help="Ask before each step.")
@click.option("--password", is_flag=True, help="Ask for the board's password, once; kept nowhere.")
@click.option(
    "--accept-new",
    is_flag=True,
    help="Accept the key of a host never seen before. Never a changed one.",
)
@click.option(
    "--output",
    "output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The configuration that is written in the end, or that the board is added to. Else the "
    "one in use, else cohete.yaml.",
)
@click.option(
    "--package",
    "packages",
    multiple=True,
    metavar="NAME",
    help="A package to install. May be given again. Else those chosen last, at first nvtop, htop, "
    "tmux.",
)
@click.option(
    "--feature",
    "features",
    multiple=True,
    metavar="NAME",
    help="What the sudo rules are for: power, clocks, fan, memory, storage, setup. May be given "
    "again. Else what was chosen last, at first all.",
)
@click.option(
    "--disk",
    metavar="NAME",
    help="The NVMe for models. Else the one chosen last, at first nvme0n1.",
)
@click.option(
    "--swap-gb", type=int, help="Size of the swap file on it. Else as chosen last, at first 16."
)
@click.option(
    "--swappiness", type=int, help="How soon the kernel swaps. Else as chosen last, at first 10."
)
@click.option(
    "--alias",
    metavar="NAME",
    help="Its name in ~/.ssh/config. Else as chosen last, at first jetson.",
)
@click.option(
    "--undo",
    metavar="STEP",
    help="Take one step back, where that is possible: "
    "key, ssh, sudo, disk, zram, swap, docker, swappiness, cuda, usb, address.",
)
@click.option("--read-only", is_flag=True, help="Look at each step, and change nothing.")
def command(
    target: str,
    config_path: str | None,
    interactive: bool,
    password: bool,
    accept_new: bool,
    output: Path | None,
    packages: tuple[str, ...],
    features: tuple[str, ...],
    disk: str | None,
    swap_gb: int | None,
    swappiness: int | None,
    alias: str | None,
    undo: str | None,
    read_only: bool,
) -> None:
    """Set TARGET up: key, name for ssh, rights, packages, disk, swap, CUDA, cohete.yaml.

    Each step is looked at, shown with its exact commands, asked about, done, and read back. What is
    so already is passed over; `s` skips a step for good, with a reason. What was skipped and chosen
    is remembered, and it goes on where it was left. On a screen: `cohete-tui setup TARGET`.
    Unattended: `cohete provision`. Exit code 1 where a step went wrong, or cannot be done there.
    """
    from cohete.cli.acting import Options
    from cohete.cli.meant import fleet
    from cohete.cli.provision import asker
    from cohete.control.audit import default_folder
    from cohete.errors import ConfigError
    from cohete.provision.record import SetupRecord
    from cohete.provision.setup import Wishes, own_key, setup_steps

    if not interactive and undo is None:
        raise click.UsageError("Say --interactive; without questions: cohete provision.")
    ask = asker() if password else None
    options = Options((target,), config_path, accept_new=accept_new, read_only=read_only, ask=ask)
    plan = fleet((target,), config_path, accept_new=accept_new)
    plan = replace(plan, specs=plan.specs[:1])
    (spec,) = plan.specs
    if not spec.enabled:
        raise ConfigError(
            f"{spec.id} has enabled: false", path=str(plan.path or ""),
            hint="Nothing connects to it. Take that line away first.",
        )  # fmt: skip
    written = output or plan.path or Path("cohete.yaml")
    facts = _facts(plan, options)
    record = SetupRecord(default_folder(), spec, facts)
    wishes = Wishes(key_line=own_key(Path.home() / ".ssh"), config_path=written)
    wishes = wishes.with_choices(record.chosen())
    given = {
        "sudo": " ".join(features), "packages": " ".join(packages), "disk": disk, "swap": swap_gb,
        "swappiness": swappiness, "ssh": alias,
    }  # fmt: skip
    for name, value in given.items():
        if value is not None and value != "":
            wishes = wishes.with_choice(name, str(value))
            if not read_only:
                record.choose(name, wishes.chosen(name))
    dialog = _Dialog(plan, options, wishes, record)
    steps = setup_steps(spec, facts, wishes)
    if undo is not None:
        sys.exit(0 if dialog.undo(undo, steps) else 1)
    well = True
    for step in steps:
        well = dialog.one(step) and well
    sys.exit(0 if well else 1)


def _facts(plan: FleetPlan, options: Options) -> Facts:
    """Who the board is. Raises CoheteError where it cannot be reached."""
    from cohete.cli.asking import read_facts
    from cohete.errors import CoheteError

    ((_, found),) = read_facts(plan, options.ask)
    if isinstance(found, CoheteError):
        raise found
    return found


class _Dialog:
    """The questions about one board."""

    def __init__(
        self, plan: FleetPlan, options: Options, wishes: Wishes, record: SetupRecord
    ) -> None:
        from cohete.clock import SystemClock
        from cohete.control.applying import Control
        from cohete.control.audit import AuditLog, default_folder
        from cohete.control.gate import Gate

        self._plan = plan
        self._options = options
        self._wishes = wishes
        self._record = record
        (self._spec,) = plan.specs
        clock = SystemClock()
        gate = Gate(options.read_only or plan.control.read_only)
        self._control = Control(gate, AuditLog(default_folder(), clock), clock)
        self._skipped = record.skipped()

    def one(self, step: SetupStep) -> bool:
        """Ask about a step and do it; whether nothing went wrong."""
        click.echo(f"\n== {step.title}\n{step.about}")
        if step.name in self._skipped:
            click.echo(f"skipped: {self._skipped[step.name]}")
            return True
        if step.local is not None:
            return self._here(step, step.local)
        if step.action is None:
            click.echo(step.told)
            return step.is_well
        return self._there(step, step.action)

    def undo(self, name: str, steps: list[SetupStep]) -> bool:
        """Take one step back; whether it is."""
        from cohete.cli.acting import change_as_text
        from cohete.control.change import Change
        from cohete.errors import CoheteError, ConfigError
        from cohete.provision.undo import undo_of, why_not

        step = next((each for each in steps if each.name == name), None)
        action = undo_of(step.action) if step is not None and step.action is not None else None
        if step is not None and step.local is not None and not step.local.why_kept:
            if self._options.read_only or not click.confirm(f"Take {name} back?", err=True):
                return True
            try:
                click.echo(step.local.take_back())
            except CoheteError as error:
                click.echo(str(error), err=True)
                return False
            return True
        if action is None:
            known = [
                each.name
                for each in steps
                if undo_of(each.action) or (each.local and not each.local.why_kept)
            ]
            hint = f"There are: {', '.join(known)}."
            if step is not None:
                hint = step.local.why_kept if step.local is not None else why_not(step.action)
            raise ConfigError(f"{name[:40]!r} cannot be taken back from here", hint=hint)
        found = self._look(action)
        click.echo(change_as_text(self._spec.id, found))
        if not isinstance(found, Change):
            return False
        if found.is_done or self._options.read_only or not click.confirm("Do it?", err=True):
            return True
        return self._apply(action, found)

    def _here(self, step: SetupStep, local: Local) -> bool:
        from cohete.errors import CoheteError

        try:
            is_done, words = local.state()
            click.echo(f"already so: {words}" if is_done else "\n".join(local.shown))
            if is_done or self._options.read_only:
                return True
            if self._wanted(step, "Write it?"):
                click.echo(local.apply())
        except CoheteError as error:
            click.echo(str(error), err=True)
            return False
        return True

    def _there(self, step: SetupStep, action: Action) -> bool:
        from cohete.cli.acting import change_as_text
        from cohete.control.change import Change
        from cohete.provision.disk import ConsentNeeded, PrepareDisk

        found = self._look(action)
        if isinstance(found, ConsentNeeded) and not self._options.read_only:
            click.echo(found.what)
            question = "Type its name and size to have it used, or nothing to leave it"
            typed = click.prompt(question, default="", show_default=False, err=True)
            if not typed:
                return True
            action = PrepareDisk(self._wishes.disk, self._wishes.mount, str(typed))
            found = self._look(action)
        click.echo(change_as_text(self._spec.id, found))
        if not isinstance(found, Change):
            return isinstance(found, ConsentNeeded) and self._options.read_only
        if not found.is_done:
            if self._options.read_only or not self._wanted(step, "Do it?"):
                return True
            if not self._apply(action, found):
                return False
        return step.name != "key" or self._lets_in()

    def _lets_in(self) -> bool:
        """That the key lies there is not yet a login."""
        from cohete.clock import SystemClock
        from cohete.links.keylogin import why_no_key
        from cohete.links.ssh import SshConnector
        from cohete.loop import run

        why = run(why_no_key(SshConnector(self._plan.ssh), self._spec, SystemClock()))
        if why:
            click.echo(f"{self._spec.id}: the key is there, and a login fails: {why}", err=True)
        else:
            click.echo(f"{self._spec.id}: tried: no password is asked for")
        return not why

    def _look(self, action: Action) -> Change | CoheteError:
        from cohete.cli.asking import ask_each
        from cohete.loop import run

        async def look(link: ReopeningLink) -> Change:
            return await self._control.look(self._spec, link, action)

        ((_, found),) = run(ask_each(self._plan, look, self._options.ask))
        return found

    def _apply(self, action: Action, shown: Change) -> bool:
        from cohete.cli.asking import ask_each
        from cohete.errors import CoheteError
        from cohete.loop import run

        async def apply(link: ReopeningLink) -> Result:
            return await self._control.apply(self._spec, link, action, shown=shown)

        ((_, result),) = run(ask_each(self._plan, apply, self._options.ask))
        click.echo(str(result))
        return not isinstance(result, CoheteError) and result.outcome.is_well

    def _wanted(self, step: SetupStep, question: str) -> bool:
        """Yes, not now, or never with a reason."""
        answer = click.prompt(
            f"{question} [y]es, [n]ot now, [s]kip for good", default="n", err=True,
            type=click.Choice(["y", "n", "s"]), show_choices=False,
        )  # fmt: skip
        if answer == "s":
            reason = click.prompt("Why?", default="not wanted", err=True)
            self._record.skip(step.name, str(reason))
        return bool(answer == "y")
