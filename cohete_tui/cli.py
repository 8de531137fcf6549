"""`cohete-tui`: the dashboard's command line."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cohete import __version__
from cohete.cli.entry import run_command

if TYPE_CHECKING:
    from cohete_tui.launch import Launch

Command = TypeVar("Command", bound=Callable[..., Any])


_HELP = {"help_option_names": ["-h", "--help"]}


def _config_option(words: str) -> Callable[[Command], Command]:
    return click.option(
        "--config", "config_path", metavar="FILE", type=click.Path(dir_okay=False), help=words
    )


def _show(launch: Launch) -> int:
    """The application from its first screen to its last; the exit code."""
    from cohete.loop import run
    from cohete_tui.app import CoheteApp

    app = CoheteApp(launch)
    run(app.run_async())
    return app.return_code or 0


@click.command(context_settings=_HELP)
@click.argument("targets", nargs=-1, metavar="[TARGET]...")
@_config_option("A cohete.yaml. Else $COHETE_CONFIG, ./cohete.yaml, or the user's own.")
@click.option("--demo", is_flag=True, help="Twelve simulated boards; no Jetson needed.")
@click.option(
    "--replay",
    "replay_path",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Show a recording, or a plain tegrastats log, as if it were now.",
)
@click.option("--read-only", is_flag=True, help="Refuse every change to a device.")
@click.option(
    "--accept-new",
    is_flag=True,
    help="Accept the key of a host never seen before. Never a changed one.",
)
@click.option(
    "--history/--no-history",
    default=True,
    help="Keep what is measured on disk, as telemetry.history says; or not this time.",
)
@click.option(
    "--max-kbps",
    type=click.FloatRange(1, 100_000),
    help="Send at most so many kilobytes a second to the terminal by itself.",
)
@click.option("--theme", metavar="NAME", help="Colours to begin with; T goes through them.")
@click.option(
    "--ascii/--unicode",
    "ascii_only",
    default=None,
    help="Draw with plain ASCII only, or with all signs. Else as the terminal allows.",
)
@click.option(
    "--keys",
    "keys_path",
    metavar="FILE",
    type=click.Path(dir_okay=False),
    help="Own keys. Else keys.yaml in the user's configuration folder.",
)
@click.version_option(__version__, prog_name="cohete-tui")
def command(
    targets: tuple[str, ...],
    config_path: str | None,
    demo: bool,
    replay_path: Path | None,
    read_only: bool,
    accept_new: bool,
    history: bool,
    max_kbps: float | None,
    theme: str | None,
    ascii_only: bool | None,
    keys_path: str | None,
) -> None:
    """A fleet of NVIDIA Jetsons, live over SSH; nothing is installed on them.

    `cohete-tui serve` shows it in a browser; `cohete-tui quantize` makes a model that fits,
    `cohete-tui setup` sets a board up.

    TARGET is user@host[:port] or the id of a configured device. Without one: this machine if it
    is a Jetson, else the configured fleet, else a start screen.
    """
    served = bool(os.environ.get("COHETE_SERVED"))
    if not served and (not sys.stdin.isatty() or not sys.stderr.isatty()):
        raise click.UsageError(
            "the dashboard needs a terminal. For pipes and logs: cohete watch, cohete status."
        )
    if os.environ.get("SSH_CONNECTION"):
        # Animations cost bytes on a link; Textual reads this when it is imported.
        os.environ.setdefault("TEXTUAL_ANIMATIONS", "none")
    if demo and (targets or config_path):
        raise click.UsageError("--demo shows simulated boards; leave out --config and TARGET.")
    if replay_path is not None and (demo or targets or config_path):
        raise click.UsageError("--replay shows a recording; leave out --demo, --config and TARGET.")
    plan = None
    if not demo and replay_path is None:
        from cohete.errors import ConfigError
        from cohete.fleet.session import plan_fleet

        plan = plan_fleet(targets, config_path, accept_new=accept_new)
        if plan is None and config_path is not None:
            raise ConfigError("there is no device in this configuration", path=config_path)
    from platformdirs import user_config_path

    from cohete_tui.launch import Launch
    from cohete_tui.looks import looks_of

    looks = looks_of(
        user_config_path("cohete"),
        plan.dashboard if plan else None,
        theme=theme,
        ascii_only=ascii_only,
        keys_path=keys_path,
    )
    status = _show(
        Launch(plan, demo, accept_new, read_only, history, replay_path, max_kbps, looks, served)
    )
    if plan is not None and not served:
        from cohete.cli.standing import say_what_stands

        say_what_stands(spec.id for spec in plan.specs)
    sys.exit(status)


@click.command("quantize", context_settings=_HELP)
@click.argument("model", required=False, default="")
@_config_option("A cohete.yaml with the boards the model may be for.")
def quantize(model: str, config_path: str | None) -> None:
    """The quantization wizard: MODEL (a GGUF file or a name), a board, a level that fits."""
    from cohete.fleet.session import plan_fleet
    from cohete_tui.launch import Launch

    if not sys.stdin.isatty():
        raise click.UsageError("the wizard needs a terminal. Without one: cohete quantize.")
    sys.exit(_show(Launch(plan_fleet((), config_path), model=model)))


@click.command("setup", context_settings=_HELP)
@click.argument("target", required=False, default="")
@_config_option("A cohete.yaml with the board.")
@click.option("--read-only", is_flag=True, help="Look, and change nothing.")
def setup(target: str, config_path: str | None, read_only: bool) -> None:
    """The setup wizard: TARGET (user@host, or the id of a configured board) from fresh to watched.

    Without a TARGET boards are searched for first. A password is asked for where the board takes
    none of your keys yet. It goes on where it was left.
    """
    from cohete.fleet.session import plan_fleet
    from cohete_tui.launch import Launch

    if not sys.stdin.isatty():
        raise click.UsageError("the wizard needs a terminal. Without one: cohete provision.")
    plan = plan_fleet((target,), config_path) if target else None
    sys.exit(_show(Launch(plan, read_only=read_only, setup=True)))


VERBS = {"quantize": quantize, "setup": setup}


def main() -> None:
    """Entry point of `cohete-tui`; its verbs are `serve`, `quantize` and `setup`."""
    verb = sys.argv[1] if len(sys.argv) > 1 else ""
    if verb == "serve":
        from cohete_tui.serve import main as serve

        del sys.argv[1]
        serve()
    elif verb in VERBS:
        del sys.argv[1]
        run_command(VERBS[verb], f"cohete-tui {verb}")
    else:
        run_command(command, "cohete-tui")
