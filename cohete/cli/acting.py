"""What every verb that changes boards does: look, show, ask, apply, report."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypedDict

import click

from cohete.errors import CoheteError, ConfigError

if TYPE_CHECKING:
    from cohete.config.spec import DeviceSpec
    from cohete.control.applying import Control
    from cohete.control.change import Action, Change
    from cohete.control.outcome import Result
    from cohete.fleet.export import Json
    from cohete.fleet.rollout import Rollout, RolloutFile, Rules
    from cohete.fleet.session import FleetPlan
    from cohete.links.handshake import Ask
    from cohete.links.reopening import ReopeningLink


class Given(TypedDict):
    """What `acting_options` hands to a verb."""

    targets: tuple[str, ...]
    config_path: str | None
    accept_new: bool
    dry_run: bool
    yes: bool
    at_once: int | None
    stop_after: int | None
    read_only: bool
    as_json: bool


LOOKS_AT_ONCE = 32
TYPED_FROM = 5
"""From so many boards on, their number is typed instead of a yes."""


Wish = Callable[["DeviceSpec"], "Action | None"]
"""What is wanted of a board; None is nothing."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a person said on the command line, beside what they want."""

    targets: tuple[str, ...] = ()
    config_path: str | None = None
    accept_new: bool = False
    dry_run: bool = False
    yes: bool = False
    at_once: int | None = None
    stop_after: int | None = None
    read_only: bool = False
    as_json: bool = False
    reboot: bool = False
    ask: Ask | None = None


def act(options: Options, make: Callable[[FleetPlan], Action]) -> None:
    """Make it so on every board that was meant; exits 0 where all are, 1 where any is not."""
    from cohete.cli.meant import fleet
    from cohete.loop import run

    plan = fleet(options.targets, options.config_path, accept_new=options.accept_new)
    action = make(plan)
    well = run(_act(plan, options, lambda _: action, (None, ())))
    sys.exit(0 if well else 1)


def act_each(options: Options, plan: FleetPlan, wish: Wish, intent: str) -> None:
    """The same where each board has a wish of its own, or none."""
    sys.exit(0 if acted(options, plan, wish, intent) else 1)


def acted(options: Options, plan: FleetPlan, wish: Wish, intent: str) -> bool:
    """Carry out each board's wish; whether all went well."""
    from cohete.loop import run

    wanted = replace(plan, specs=[spec for spec in plan.specs if wish(spec) is not None])
    if plan.specs and not wanted.specs:
        # This part is about other boards.
        return True
    return run(_act(wanted, options, wish, (None, ()), intent))


def resume(options: Options, name: str) -> None:
    """Go on with a rollout that did not reach every board."""
    from cohete.cli.meant import fleet
    from cohete.control.audit import default_folder
    from cohete.fleet.actions import action_from
    from cohete.fleet.rollout import find_unfinished
    from cohete.loop import run

    begun = find_unfinished(default_folder(), name)
    targets = options.targets or begun.left
    plan = fleet(targets, options.config_path, accept_new=options.accept_new)
    action = action_from(begun.action)
    well = run(_act(plan, options, lambda _: action, (begun.record, begun.done)))
    sys.exit(0 if well else 1)


async def _act(
    plan: FleetPlan,
    options: Options,
    wish: Wish,
    begun: tuple[RolloutFile | None, tuple[str, ...]],
    intent: str = "",
) -> bool:
    from contextlib import AsyncExitStack

    from cohete.clock import SystemClock
    from cohete.control.applying import Control
    from cohete.control.audit import AuditLog, default_folder
    from cohete.control.gate import Gate
    from cohete.links.opener import make_opener
    from cohete.links.reopening import ReopeningLink
    from cohete.links.ssh import SshConnector

    specs = [spec for spec in plan.specs if spec.enabled]
    if not specs:
        raise ConfigError("no board is meant", hint="Every one of them is disabled.")
    clock = SystemClock()
    gate = Gate(options.read_only or plan.control.read_only)
    control = Control(gate, AuditLog(default_folder(), clock), clock)
    connector = SshConnector(plan.ssh, ask=options.ask)
    opener = make_opener(connector, clock)
    try:
        async with AsyncExitStack() as stack:
            links = {
                spec.id: await stack.enter_async_context(ReopeningLink(opener, spec))
                for spec in specs
            }
            acting = _Acting(plan, options, wish, control, specs, links, intent)
            await acting.look()
            return await acting.go(begun[0])
    finally:
        await connector.close()


class _Acting:
    """One action on the boards of a command."""

    def __init__(
        self,
        plan: FleetPlan,
        options: Options,
        wish: Wish,
        control: Control,
        specs: list[DeviceSpec],
        links: dict[str, ReopeningLink],
        intent: str,
    ) -> None:
        self._plan = plan
        self._options = options
        wishes = {spec.id: wish(spec) for spec in specs}
        self._actions = {name: action for name, action in wishes.items() if action is not None}
        self._is_one = not intent
        self._intent = intent or next(iter(self._actions.values())).intent
        self._control = control
        self._specs = {spec.id: spec for spec in specs}
        self._links = links
        self._looked: dict[str, Change | CoheteError] = {}

    async def look(self) -> None:
        """What the action means on each board."""
        places = asyncio.Semaphore(LOOKS_AT_ONCE)

        async def one(spec: DeviceSpec) -> Change | CoheteError:
            refusal = self._control.gate.refusal(spec)
            if refusal and not self._options.dry_run:
                return ConfigError(refusal)
            async with places:
                try:
                    return await self._control.look(
                        spec, self._links[spec.id], self._actions[spec.id]
                    )
                except CoheteError as error:
                    return error

        found = await asyncio.gather(*(one(spec) for spec in self._specs.values()))
        self._looked = dict(zip(self._specs, found, strict=True))

    async def go(self, record: RolloutFile | None) -> bool:
        """Show, ask, apply; True where every board is as wanted."""
        from cohete.control.audit import default_folder
        from cohete.fleet.actions import action_as_dict
        from cohete.fleet.rollout import Rollout, RolloutFile

        to_do = self._changes()
        if self._options.dry_run:
            self._print_changes()
            return not self._errors()
        if not self._options.as_json:
            self._print_changes()
        if to_do and not self._agreed(to_do):
            click.echo("Nothing was changed.", err=True)
            return False
        # Boards that cannot be looked at are part of it: they fail, and count.
        # First those on which something runs: a canary that is already so proves nothing.
        first = [change.device for change in to_do]
        names = tuple(dict.fromkeys([*first, *self._looked]))
        clock = self._control.clock
        if record is None and len(names) > 1 and self._is_one:
            action = next(iter(self._actions.values()))
            record = RolloutFile.new(default_folder(), clock, action_as_dict(action))
        rollout = Rollout(names, self._rules(), clock, record)
        await rollout.run(self._apply)
        self._print_results(rollout)
        if record is not None and record.is_over:
            await asyncio.to_thread(record.remove)
        return rollout.is_well

    async def _apply(self, name: str) -> Result:
        from cohete.control.outcome import Outcome, Result

        looked, action = self._looked[name], self._actions[name]
        spec, link = self._specs[name], self._links[name]

        def progress(text: str) -> None:
            if not self._options.as_json:
                click.echo(f"{name}: {text} ...", err=True)

        if isinstance(looked, CoheteError) and not self._control.gate.refusal(spec):
            outcome = Outcome.REFUSED if _is_refusal(looked) else Outcome.UNREACHED
            return Result(name, action.intent, outcome, _sentence(looked))
        shown = None if isinstance(looked, CoheteError) else looked
        result = await self._control.apply(
            spec, link, action, shown=shown, reboot=self._options.reboot, progress=progress
        )
        if result.outcome.is_well:
            await self._remember(name, action)
        return result

    async def _remember(self, name: str, action: Action) -> None:
        """A power profile, for whoever keeps its budget."""
        from cohete.control.audit import default_folder
        from cohete.fleet.chosen import ChosenProfiles
        from cohete.power.profiles import Profile

        if isinstance(action, Profile):
            places = {name: self._specs[name].place}
            chosen = ChosenProfiles(default_folder(), self._control.clock, places)
            await chosen.choose(name, action.name)

    def _changes(self) -> list[Change]:
        return [
            change for change in self._looked.values()
            if not isinstance(change, CoheteError) and not change.is_done
        ]  # fmt: skip

    def _errors(self) -> dict[str, CoheteError]:
        return {
            name: error for name, error in self._looked.items() if isinstance(error, CoheteError)
        }

    def _rules(self) -> Rules:
        from cohete.fleet.changing import rules_from

        rules = rules_from(self._plan.control)
        options = self._options
        if options.at_once is not None:
            rules = replace(rules, at_once=options.at_once)
        if options.stop_after is not None:
            rules = replace(rules, stop_after=options.stop_after, stop_share=None)
        return rules

    def _agreed(self, changes: list[Change]) -> bool:
        from cohete.control.change import Need

        if self._options.yes:
            return True
        if not sys.stdin.isatty():
            raise ConfigError(
                "somebody has to agree to this, and nobody is at the terminal",
                hint="Look at it with --dry-run, then say --yes.",
            )
        count = len(changes)
        reboots = self._options.reboot and any(Need.REBOOT in change.needs for change in changes)
        if count >= TYPED_FROM or reboots:
            answer = click.prompt(
                f"Type the number of boards to change ({count}), or anything else to stop",
                default="", show_default=False, err=True,
            )  # fmt: skip
            return str(answer).strip() == str(count)
        return click.confirm(f"Change {'it' if count == 1 else f'these {count}'}?", err=True)

    def _print_changes(self) -> None:
        if self._options.as_json:
            import json

            devices: list[Json] = [
                change_as_dict(name, each) for name, each in self._looked.items()
            ]
            click.echo(json.dumps({"intent": self._intent, "changes": devices}, indent=2))
            return
        for name, looked in self._looked.items():
            click.echo(change_as_text(name, looked))

    def _print_results(self, rollout: Rollout) -> None:
        if self._options.as_json:
            import json

            click.echo(json.dumps(_results_dict(rollout), indent=2))
            return
        for result in rollout.results.values():
            click.echo(str(result))
        for name in rollout.waiting:
            click.echo(f"{name}: not begun: {rollout.stopped}")
        if rollout.record is not None and not rollout.record.is_over:
            click.echo(f"Go on with: cohete rollout resume {rollout.record.name}", err=True)


def _is_refusal(error: CoheteError) -> bool:
    from cohete.errors import ChangeRefused

    return isinstance(error, ChangeRefused)


def _sentence(error: CoheteError) -> str:
    return f"{error.what}. {error.hint}" if error.hint else error.what


def change_as_text(name: str, looked: Change | CoheteError) -> str:
    """What would run on a board, or why nothing can, as lines."""
    if isinstance(looked, CoheteError):
        return f"{name}: {_sentence(looked)}"
    if looked.is_done:
        return f"{name}: already so: {looked.before}"
    lines = [f"{name}: {looked.intent}; now {looked.before or 'unknown'}"]
    lines += [f"    {step.line}" for step in looked.steps]
    if looked.reboot_steps:
        lines.append("  only where it asks for a reboot and --reboot is given:")
        steps = (*looked.reboot_steps, *looked.after_reboot, *looked.undrain)
        lines += [f"    {step.line}" for step in steps]
    lines += [f"  needs {need}" for need in sorted(looked.needs)]
    lines += [f"  {note}" for note in looked.notes]
    lines.append(f"  {looked.undo_words}")
    return "\n".join(lines)


def change_as_dict(name: str, looked: Change | CoheteError) -> dict[str, Json]:
    """The same as a document."""
    if isinstance(looked, CoheteError):
        return {"id": name, "error": _sentence(looked)}
    return {
        "id": name,
        "already": looked.is_done,
        "before": looked.before or None,
        "after": looked.after,
        "commands": [step.line for step in looked.steps],
        "commands_with_reboot": [
            step.line for step in (*looked.reboot_steps, *looked.after_reboot, *looked.undrain)
        ],
        "needs": [str(need) for need in sorted(looked.needs)],
        "notes": list(looked.notes),
        "undo": looked.undo_words,
    }


def _results_dict(rollout: Rollout) -> dict[str, Json]:
    devices: list[Json] = [
        {
            "id": result.device,
            "outcome": result.outcome.value,
            "well": result.outcome.is_well,
            "words": result.words or None,
            "before": result.before or None,
            "now": result.found or None,
        }
        for result in rollout.results.values()
    ]
    waiting: list[Json] = list(rollout.waiting)
    return {"devices": devices, "not_begun": waiting, "stopped": rollout.stopped or None}
