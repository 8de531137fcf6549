"""The list of verbs: name, where it lives, and its line in the help. Nothing is imported early."""

from __future__ import annotations

from importlib import import_module

import click

VERBS: dict[str, tuple[str, str]] = {
    "alerts": ("cohete.cli.alerts", "Alerts: what is wrong now, watching for it, silencing."),
    "apply": ("cohete.cli.apply", "Make boards as the configuration says; twice changes nothing."),
    "audit": ("cohete.cli.audit", "What was done to which board, by whom, and what came of it."),
    "breaker": ("cohete.cli.breaker", "Thermal breakers: shown, run, and what they hold let go."),
    "budget": ("cohete.cli.budget", "Memory of each board against its budget; would a model fit?"),
    "clip": ("cohete.cli.clip", "A part of a recording, masked if you like."),
    "clocks": ("cohete.cli.clocks", "Clocks shown, locked at their highest, and let go."),
    "completion": ("cohete.cli.completion", "Print the completion script of your shell."),
    "config": ("cohete.cli.config", "Check a cohete.yaml, or print its schema."),
    "console": ("cohete.cli.console", "The serial console of a board on USB; no network needed."),
    "decode": ("cohete.cli.decode", "tegrastats lines in, one JSON object a sample out."),
    "deploy": ("cohete.cli.deploy", "Copy a model to boards: checked there, resumed if cut off."),
    "discover": ("cohete.cli.discover", "Boards on USB, in the network, and where ssh goes."),
    "drift": ("cohete.cli.drift", "What is not as it was accepted: mode, packages, files."),
    "fan": ("cohete.cli.fan", "The fan: shown, held at a speed for a while, given back."),
    "fit": ("cohete.cli.fit", "What a model needs at each level, and which fits a board."),
    "history": ("cohete.cli.history", "What was measured on a device, from what was kept."),
    "power": ("cohete.cli.power", "Power modes: what each board has and caps, and setting one."),
    "provision": ("cohete.cli.provision", "Fresh boards made as cohete.yaml says; twice is once."),
    "quantize": ("cohete.cli.quantize", "Make a smaller model that fits, and check one."),
    "record": ("cohete.cli.record", "A fleet into one file, to be looked at later."),
    "rollout": ("cohete.cli.rollout", "Changes of many boards that did not reach all of them."),
    "setup": ("cohete.cli.setup", "A fresh board led to a watched one, a question at a time."),
    "simulate": ("cohete.cli.simulate", "Serve Jetsons that do not exist, over real SSH."),
    "standing": ("cohete.cli.standing", "What Cohete changed by itself and has not given back."),
    "status": (
        "cohete.cli.status",
        "One sample of each device; the exit code says if any is down.",
    ),
    "storage": ("cohete.cli.storage", "Disks: what there is, how healthy, how full, how fast."),
    "sudoers": ("cohete.cli.sudoers", "The smallest sudo rules for what you want to do."),
    "wake": ("cohete.cli.wake", "A sleeping board woken over the network."),
    "watch": ("cohete.cli.watch", "Samples as they come: JSON lines, or plain text."),
}


class LazyVerbs(click.Group):
    """A group whose help needs no verb and whose verb needs no other."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        command = getattr(import_module(VERBS[cmd_name][0]), "command")  # noqa: B009
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, VERBS[name][1]) for name in sorted(VERBS)])
