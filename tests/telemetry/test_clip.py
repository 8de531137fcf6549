"""A part of a recording: the same fleet in that time, and nothing private where that was asked."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from cohete.cli.clip import command
from cohete.errors import CoheteError
from cohete.fleet.player import Player, open_source
from cohete.telemetry.clip import Mask, clip, mask_of
from cohete.telemetry.recording import DeviceEntry, Header, Record, RecordingFile, RecordingWriter
from tests import lines
from tests.fleet.test_recording import story

SECRETS = (
    "10.0.0.7",
    "fe80::1",
    "nvidia",
    "cam-01.local",
    "SHA256:abc",
    "1421721099999",
    "deadbeef",
)


async def test_a_part_is_the_same_fleet_in_that_time(tmp_path: Path) -> None:
    whole, part = tmp_path / "whole", tmp_path / "part"
    await story(whole)
    with contextlib.closing(RecordingFile(whole)) as opened:
        begin_ms = opened.begin_ms
    clip(whole, part, begin_ms + 30_000, begin_ms + 70_000)
    states = []
    for path in (whole, part):
        player = Player(open_source(path))
        await player.seek(begin_ms + 35_000)
        await player.advance(begin_ms + 52_000)
        states.append({d.id: (d.state, d.stats, d.mode_name, d.error) for d in player.store})
        player.close()
    assert states[0] == states[1]
    reader = RecordingFile(part)
    assert reader.begin_ms == begin_ms + 30_000
    assert reader.end_ms == begin_ms + 70_000
    reader.close()


def private(path: Path) -> None:
    header = Header(
        "lab", 0, (DeviceEntry("cam-01", "nvidia@10.0.0.7:2222", ("roof",)),
                   DeviceEntry("cam-02", "fe80::1%eth0")),
    )  # fmt: skip
    state = (
        '{"state": "lost", "error": "nvidia@10.0.0.7 and cam-01.local (fe80::1) are gone", '
        '"hint": "ask nvidia", "fingerprint": "SHA256:abc"}'
    )
    facts = (
        '{"hostname": "cam-01.local", "serial": "1421721099999", "machine_id": "deadbeef", '
        '"model": "Nano"}'
    )
    event = '{"kind": "refused", "text": "key SHA256:abc of cam-01 at 10.0.0.7", "hint": ""}'
    writer = RecordingWriter(path, header)
    writer.keyframe(0, [Record("S", 0, 0, state), Record("F", 0, 0, facts)])
    writer.data(0, 9_000, [
        Record("L", 0, 100, lines.NANO),
        Record("L", 0, 200, "cannot open /home/nvidia/.ssh/id on 10.0.0.7"),
        Record("E", 0, 300, event),
        Record("S", 1, 400, state),
    ])  # fmt: skip
    writer.close()


def everything_in(path: Path) -> str:
    reader = RecordingFile(path)
    text = str(reader.header)
    for block in reader.blocks:
        text += reader._part(block, rare=True) + reader._part(block, rare=False)
    reader.close()
    return text


@pytest.mark.parametrize("names", [False, True])
def test_nothing_private_is_left(tmp_path: Path, names: bool) -> None:
    whole, part = tmp_path / "whole", tmp_path / "part"
    private(whole)
    assert all(secret in everything_in(whole) for secret in SECRETS)
    clip(whole, part, 0, 9_000, mask_of(whole, names=names))
    text = everything_in(part)
    for secret in (*SECRETS, *(["cam-01", "roof", "lab"] if names else [])):
        assert secret not in text, secret
    assert ("device-001" in text) is names
    assert "cannot open" not in text
    assert "RAM" in text


@given(st.text(max_size=40), st.text(max_size=40))
def test_an_address_never_survives(before: str, after: str) -> None:
    mask = Mask.of(Header("", 0, (DeviceEntry("a", "me@10.1.2.3"),)), names=False)
    assert "10.1.2.3" not in mask.text(f"{before} 10.1.2.3 {after}")
    assert "SHA256:abc" not in mask.text(f"{before} SHA256:abc {after}")


async def test_the_command(tmp_path: Path) -> None:
    whole, part = tmp_path / "whole", tmp_path / "part"
    await story(whole)
    result = CliRunner().invoke(
        command, [str(whole), "-o", str(part), "--from", "30s", "--mask"], catch_exceptions=False
    )
    assert result.exit_code == 0
    assert "Show it: cohete-tui --replay" in result.output
    reader = RecordingFile(part)
    assert 29_000 <= reader.end_ms - reader.begin_ms <= 31_000
    reader.close()
    with pytest.raises(CoheteError, match="nothing was recorded in this time"):
        CliRunner().invoke(
            command, [str(whole), "-o", str(tmp_path / "x"), "--from", "2001-01-01", "--to",
                      "2001-01-02"], catch_exceptions=False,
        )  # fmt: skip
