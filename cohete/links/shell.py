"""A shell on a device for a person: the argv of the ssh program, with the keys Cohete knows."""

from __future__ import annotations

import os

from cohete.config.schema import Ssh
from cohete.config.spec import DeviceSpec, Reach
from cohete.errors import CoheteError
from cohete.links.ssh import SshFiles


def shell_argv(spec: DeviceSpec, settings: Ssh, files: SshFiles) -> list[str]:
    """What to run in a terminal. Raises CoheteError where a device has no shell.

    Host keys stay strict: ssh accepts what is on record with it or with us, and nothing else.
    """
    if spec.reach is Reach.LOCAL:
        return [os.environ.get("SHELL") or "/bin/sh"]
    if spec.reach is not Reach.SSH:
        raise CoheteError("a recording has no shell", where=spec.id)
    known = [*(str(path) for path in files.user_known_hosts), str(files.known_hosts)]
    argv = ["ssh", "-o", "StrictHostKeyChecking=yes"]
    argv += ["-o", "UserKnownHostsFile=" + " ".join(_quoted(path) for path in known)]
    if settings.config_file:
        argv += ["-F", settings.config_file]
    if spec.identity_file:
        argv += ["-i", os.path.expanduser(spec.identity_file)]  # noqa: PTH111 - text for ssh
    if spec.jumps:
        argv += ["-J", ",".join(str(hop) for hop in spec.jumps)]
    if spec.target.port:
        argv += ["-p", str(spec.target.port)]
    if spec.target.user:
        argv += ["-l", spec.target.user]
    return [*argv, "--", spec.target.host]


def _quoted(path: str) -> str:
    return f'"{path}"' if " " in path else path
