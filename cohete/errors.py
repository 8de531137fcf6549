"""One family of errors: what happened, where, and what to do next."""

from __future__ import annotations

from cohete.text import sanitise

_WHERE_LIMIT = 4096


class CoheteError(Exception):
    """Base of every error a person may see.

    `what` is a sentence without a full stop, `where` names the device or file,
    `hint` is the next step. All three are safe to print: `where` is made so, the name of a file may
    hold anything.
    """

    def __init__(self, what: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = sanitise(where, _WHERE_LIMIT)
        self.hint = hint

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text}. {self.hint}" if self.hint else text


class ConfigError(CoheteError):
    """A configuration that cannot be used; `line` and `column` count from 1, 0 when unknown."""

    def __init__(
        self, what: str, *, path: str = "", line: int = 0, column: int = 0, hint: str = ""
    ) -> None:
        where = f"{path}:{line}:{column}" if line else path
        super().__init__(what, where=where, hint=hint)
        self.path = path
        self.line = line
        self.column = column


class LinkError(CoheteError):
    """A device cannot be reached or stopped answering; trying again may help."""


class LinkRefused(LinkError):
    """A person has to act first: trying again by itself would not help, or would harm."""


class AuthRefused(LinkRefused):
    """The device was reached but does not let this user in."""


class HostKeyUnknown(LinkRefused):
    """No known_hosts entry exists for this host; the key has to be confirmed once."""

    def __init__(self, what: str, *, where: str, hint: str, fingerprint: str, line: str) -> None:
        super().__init__(what, where=where, hint=hint)
        self.fingerprint = fingerprint
        self.line = line


class HostKeyChanged(LinkRefused):
    """The host shows another key than the one on record: a reinstall, or somebody in between."""

    def __init__(self, what: str, *, where: str, hint: str, fingerprint: str) -> None:
        super().__init__(what, where=where, hint=hint)
        self.fingerprint = fingerprint


class CommandError(CoheteError):
    """A command on a device failed, was not found or did not finish in time."""


class ChangeRefused(CoheteError):
    """A change that a device cannot take, or that must not be made now; nothing was run."""


class AuditError(CoheteError):
    """The audit log cannot be written; without it nothing is changed."""
