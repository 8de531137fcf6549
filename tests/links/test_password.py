"""A login by password: only where somebody asked for it, once, to a host that is who it says."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import asyncssh
import pytest

from cohete.clock import SystemClock
from cohete.errors import AuthRefused, HostKeyUnknown
from cohete.links.handshake import Ask
from cohete.links.opener import make_opener
from cohete.links.reopening import ReopeningLink
from cohete.links.ssh import SshConnector
from tests.boards import lonely_files, simulated

SECRET = "correct horse"


class Person:
    def __init__(self, answer: str) -> None:
        self._answer = answer
        self.prompts: list[str] = []

    async def ask(self, prompt: str) -> str:
        self.prompts.append(prompt)
        return self._answer


async def log_in(folder: Path, ask: Ask | None, *, known: bool = True, key: bool = True) -> bytes:
    async with simulated("nano", folder=folder) as (fleet, config, specs):
        fleet.hosts["nano-0"].password = SECRET
        other = folder / "id_other"
        other.write_bytes(asyncssh.generate_private_key("ssh-ed25519").export_private_key())
        other.chmod(0o600)
        if not known:
            (folder / "known_hosts").write_text("")
        spec = replace(specs[0], identity_file=str(other if key else folder / "none"))
        connector = SshConnector(config.ssh, lonely_files(config), ask=ask)
        try:
            async with ReopeningLink(make_opener(connector, SystemClock()), spec) as link:
                return (await link.run(("uname", "-n"), timeout_s=10)).stdout
        finally:
            await connector.close()


@pytest.mark.claim("PS-03", "DDC-10")
@pytest.mark.parametrize("key", [True, False])
async def test_asked_once_and_let_in(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, key: bool
) -> None:
    person = Person(SECRET)
    with caplog.at_level(logging.DEBUG):
        assert await log_in(tmp_path, person.ask, key=key) == b"nano-0\n"
    (prompt,) = person.prompts
    assert prompt.startswith("Password of nvidia@127.0.0.1:")
    assert SECRET not in caplog.text


async def test_a_wrong_one_is_said_and_not_shown(tmp_path: Path) -> None:
    person = Person("wrong horse")
    with pytest.raises(AuthRefused) as refused:
        await log_in(tmp_path, person.ask)
    assert "horse" not in str(refused.value)
    assert len(person.prompts) == 1


@pytest.mark.claim("DDC-10")
async def test_no_password_for_a_host_that_is_not_known(tmp_path: Path) -> None:
    person = Person(SECRET)
    with pytest.raises(HostKeyUnknown):
        await log_in(tmp_path, person.ask, known=False)
    assert person.prompts == []


async def test_nobody_is_asked_who_did_not_ask_for_it(tmp_path: Path) -> None:
    with pytest.raises(AuthRefused):
        await log_in(tmp_path, None)
