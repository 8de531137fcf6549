"""`cohete-tui serve`: the dashboard in a browser, for whoever has no terminal at hand.

Each page that is opened is a dashboard of its own. It shows and never writes: no shell, no files,
no new host keys, no changes. Away from loopback nobody gets in without the token.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import secrets
import shlex
import sys
from collections.abc import Sequence
from urllib.parse import urlsplit

import click

from cohete.cli.entry import run_command
from cohete.errors import CoheteError

TOKEN_VARIABLE = "COHETE_TOKEN"  # noqa: S105 - the name of a variable
SERVED_VARIABLE = "COHETE_SERVED"
"""Tells a dashboard that it is looked at in a browser."""


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server there."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_everywhere(host: str) -> bool:
    """Whether this means every address of this machine."""
    try:
        return not host or ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def plain_url(text: str) -> str:
    """`https://Name:443/` as `https://name`. Raises UsageError for what has no host, or a path."""
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        parts, host, port = urlsplit(""), None, None
    if parts.scheme not in ("http", "https") or not host or parts.path not in ("", "/"):
        raise click.UsageError("--public-url is http:// or https://, a name, perhaps a port.")
    named = f"[{host}]" if ":" in host else host
    usual = port is None or (parts.scheme, port) in (("http", 80), ("https", 443))
    return f"{parts.scheme}://{named}" + ("" if usual else f":{port}")


def child_command(targets: Sequence[str], options: Sequence[str]) -> str:
    """The command line of one dashboard; nothing of it is left to the shell."""
    code = "from cohete_tui.cli import main; main()"
    return shlex.join([sys.executable, "-c", code, "--read-only", *options, "--", *targets])


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("targets", nargs=-1, metavar="[TARGET]...")
@click.option("--config", "config_path", metavar="FILE", type=click.Path(dir_okay=False))
@click.option("--demo", is_flag=True, help="Simulated boards.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65_535))
@click.option("--public-url", metavar="URL", help="How it is reached, behind a proxy with TLS.")
@click.option(
    "--token/--no-token",
    "with_token",
    default=None,
    help="Ask for a token. Always asked for where others than this machine can come.",
)
@click.option(
    "--most",
    default=8,
    show_default=True,
    type=click.IntRange(1, 100),
    help="Dashboards that may be open at once; each connects to the boards itself.",
)
def command(
    targets: tuple[str, ...],
    config_path: str | None,
    demo: bool,
    host: str,
    port: int,
    public_url: str | None,
    with_token: bool | None,
    most: int,
) -> None:
    """The dashboard in a browser: read-only, on this machine unless told otherwise.

    The token is $COHETE_TOKEN, else a new one each time; it is printed with the address.
    """  # fmt: skip
    try:
        from cohete_tui.web.server import DashboardServer
    except ImportError:
        raise CoheteError(
            "the browser needs the package textual-serve, which is not installed",
            hint="pip install 'cohete-tui[serve]'",
        ) from None
    if public_url is not None:
        public_url = plain_url(public_url)
    elif is_everywhere(host):
        raise click.UsageError(
            f"{host} is every address of this machine; --public-url says which one people open."
        )
    outside = not is_loopback(host) or public_url is not None
    if outside and with_token is False:
        raise click.UsageError("without a token it is served on this machine only.")
    if not demo:
        from cohete.fleet.session import plan_fleet, require_fleet

        # A fault is told here, not in a page.
        require_fleet(plan_fleet(targets, config_path))
    token = None
    if outside or with_token:
        token = os.environ.get(TOKEN_VARIABLE) or secrets.token_urlsafe(24)
    os.environ.pop(TOKEN_VARIABLE, None)
    os.environ[SERVED_VARIABLE] = "1"
    options = [*(("--config", config_path) if config_path else ()), *(("--demo",) if demo else ())]
    line = child_command(targets, options)
    server = DashboardServer(line, host, port, token=token, url=public_url, most=most)
    asyncio.run(server.run())


def main() -> None:
    """Entry point of `cohete-tui serve`."""
    run_command(command, "cohete-tui serve")
