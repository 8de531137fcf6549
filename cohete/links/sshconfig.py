"""The user's ssh configuration, resolved for one host. `Match exec` never runs a command."""

from __future__ import annotations

import getpass
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import cast

from asyncssh.config import SSHClientConfig, SSHConfig

from cohete.config.target import Target, check_host, parse_target
from cohete.errors import ConfigError
from cohete.text import sanitise

MAX_HOPS = 8


@dataclass(frozen=True, slots=True)
class Resolved:
    """A target with everything ssh would know about it. `jumps` are in order of travel."""

    host: str
    port: int
    user: str
    alias: str
    identity_files: tuple[str, ...] = ()
    identities_only: bool = False
    agent: str | None = None
    """Socket of the agent; None: as the environment says; empty: none."""
    jumps: tuple[Target, ...] = ()
    known_hosts_files: tuple[str, ...] = ()
    shown_by: tuple[str, int] | None = None
    """Under which name its key is known, where it has moved."""

    @property
    def known_as(self) -> tuple[str, int]:
        """Name and port of this host in known_hosts; an alias stands there without a port."""
        if self.shown_by is not None:
            return self.shown_by
        return (self.alias.lower(), 22) if self.alias else (self.host.lower(), self.port)

    def __str__(self) -> str:
        return str(Target(self.host, self.user, self.port if self.port != 22 else None))


class _Config(SSHClientConfig):
    """asyncssh's reader, with the one condition that runs a program never true."""

    def _match(self, option: str, args: list[str]) -> None:
        if any(arg.lower().lstrip("!") == "exec" for arg in args):
            self._matching = False
            args.clear()
            return
        super()._match(option, args)

    # The parent's table binds its own method; bind ours in its place.
    _handlers = {**SSHClientConfig._handlers, "match": ("Match", _match)}  # noqa: RUF012, SLF001


def resolve(target: Target, config_file: Path | None) -> Resolved:
    """What the user's configuration says of `target`. Blocking; raises ConfigError.

    Understands Host, Match (never exec), Include, HostName, User, Port, IdentityFile,
    IdentitiesOnly, IdentityAgent, ProxyJump, HostKeyAlias and UserKnownHostsFile. A user and a
    port given in the target win over the file.
    """
    local_user = _local_user()
    if config_file is None or not config_file.is_file():
        return Resolved(target.host, target.port or 22, target.user or local_user, alias="")
    user = target.user if target.user is not None else ()
    port = target.port if target.port is not None else ()
    try:
        config = _Config.load(
            None, str(config_file), False, False, False, local_user, user, target.host, port
        )
        return _resolved(config, target, config_file, local_user)
    except ConfigError:
        raise
    except Exception as error:  # noqa: BLE001 - a broken file breaks its reader in many ways
        text = sanitise(str(error) or type(error).__name__, 200)
        raise ConfigError(
            f"cannot use the ssh configuration: {text}", path=str(config_file)
        ) from None


def _resolved(config: SSHConfig, target: Target, config_file: Path, local_user: str) -> Resolved:
    proxy = config.get("ProxyJump")
    if config.get("ProxyCommand") and not proxy:
        raise ConfigError(
            f"ProxyCommand for {target.host} is not supported",
            path=str(config_file),
            hint="Use ProxyJump, or give the jump host as `jump` in cohete.yaml.",
        )
    return Resolved(
        host=check_host(str(config.get("Hostname", target.host))),
        port=_port(cast(int, config.get("Port", 22)), config_file),
        user=str(config.get("User", local_user)),
        alias=str(config.get("HostKeyAlias") or ""),
        identity_files=tuple(cast(list[str], config.get("IdentityFile") or [])),
        identities_only=bool(config.get("IdentitiesOnly", False)),
        agent=_agent(config.get("IdentityAgent", ())),
        jumps=_hops(str(proxy)) if proxy else (),
        known_hosts_files=tuple(cast(list[str], config.get("UserKnownHostsFile") or [])),
    )


def _port(port: int, config_file: Path) -> int:
    if not 0 < port < 65536:
        raise ConfigError(f"{port} is no port", path=str(config_file))
    return port


def _agent(value: object) -> str | None:
    if value == () or value == "SSH_AUTH_SOCK":
        return None
    return "" if value is None else str(value)


def _hops(proxy_jump: str) -> tuple[Target, ...]:
    if proxy_jump.lower() == "none":
        return ()
    return tuple(parse_target(hop) for hop in proxy_jump.split(",")[:MAX_HOPS])


@cache
def _local_user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "root"
