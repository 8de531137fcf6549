"""The small parts of links: cutting lines, quoting, this machine, recordings."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cohete import tegra
from cohete.clock import ManualClock
from cohete.errors import CommandError, LinkError
from cohete.links.base import MAX_LINE_BYTES, LineSplitter
from cohete.links.commands import PROBES, probe, probe_script, quote, split_sections, tegrastats
from cohete.links.local import LocalLink, is_jetson
from cohete.links.replay import ReplayLink
from tests import lines


@given(st.lists(st.binary(max_size=40).map(lambda b: b.replace(b"\n", b"")), max_size=8),
       st.lists(st.integers(0, 60), max_size=30))  # fmt: skip
def test_lines_come_out_whole_however_they_were_cut(parts: list[bytes], cuts: list[int]) -> None:
    data = b"".join(part + b"\n" for part in parts) + b"rest"
    splitter = LineSplitter()
    out: list[bytes] = []
    at = 0
    for cut in [*cuts, len(data)]:
        out += splitter.feed(data[at : at + cut])
        at += cut
    out += splitter.feed(data[at:])
    assert out == [part.rstrip(b"\r") for part in parts]


def test_an_endless_line_is_dropped_and_the_next_one_is_whole() -> None:
    splitter = LineSplitter()
    for _ in range(50):
        assert splitter.feed(b"x" * 4096) == []
    assert splitter.feed(b"end\ngood\n") == [b"good"]
    assert splitter.dropped == 1
    assert splitter.feed(b"y" * (MAX_LINE_BYTES + 1) + b"\nok\n") == [b"ok"]


@given(st.lists(st.text(st.characters(exclude_characters="\0", codec="utf-8")), min_size=1))
def test_quoting_survives_any_shell_word(argv: list[str]) -> None:
    assert shlex.split(quote(argv)) == argv


def test_the_probe_is_posix_shell_and_answers_in_sections() -> None:
    checked = subprocess.run(["sh", "-n", "-c", probe_script()], capture_output=True, check=False)
    assert checked.returncode == 0
    done = subprocess.run(["sh", "-c", probe_script()], capture_output=True, check=False)
    sections = split_sections(done.stdout)
    assert set(sections) == {item.name for item in PROBES}
    assert sections["hostname"].decode() == os.uname().nodename


@pytest.mark.claim("SS-03")
def test_no_probe_needs_root_and_none_writes() -> None:
    words = {word for item in PROBES for word in item.argv} | set(probe()) | set(tegrastats(1000))
    assert not words & {"sudo", "su", "tee", "rm", "mv", "cp", "dd", "reboot", "kill", "-S"}
    # Complaints thrown away and a comparison write nothing.
    harmless = re.compile(r"2>/dev/null|f\[22\]>=")
    assert not any(">" in harmless.sub("", word) for item in PROBES for word in item.argv)


def test_is_this_machine_a_jetson(tmp_path: Path) -> None:
    assert not is_jetson(tmp_path)
    (tmp_path / "proc/device-tree").mkdir(parents=True)
    (tmp_path / "proc/device-tree/compatible").write_bytes(b"nvidia,p3767\0nvidia,tegra234\0")
    assert is_jetson(tmp_path)


async def test_local_commands_end_with_us(tmp_path: Path) -> None:
    link = LocalLink()
    await link.open()
    done = await link.run(("sh", "-c", "echo out; echo err >&2; exit 3"), timeout_s=5)
    assert (done.exit_status, done.stdout, done.stderr) == (3, b"out\n", b"err\n")
    with pytest.raises(CommandError, match="did not finish"):
        await link.run(("sleep", "60"), timeout_s=0.1)
    with pytest.raises(LinkError, match="No such file"):
        await link.run(("/no/such/program",), timeout_s=1)
    got: list[bytes] = []
    here = asyncio.Event()

    def sink(fresh: list[bytes]) -> None:
        got.extend(fresh)
        here.set()

    script = f"echo $$ > {tmp_path}/pid; echo one; sleep 60"
    stream = await link.stream(("sh", "-c", script), sink)
    await asyncio.wait_for(here.wait(), 5)
    await link.close()
    assert got == [b"one"]
    assert (await stream.wait()).exit_status is not None
    pid = int((tmp_path / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_recording_plays_at_its_own_pace(tmp_path: Path) -> None:
    file = tmp_path / "log.txt"
    second = lines.ORIN_R36.replace("18:42:06", "18:42:11")
    file.write_text(f"motd\n{lines.ORIN_R36}\nnoise\n{second}\n")
    clock = ManualClock()
    link = ReplayLink(file, clock=clock)
    await link.open()
    got: list[bytes] = []
    stream = await link.stream(("tegrastats",), got.extend)
    await clock.advance(0)
    assert len(got) == 1
    await clock.advance(4.9)
    assert len(got) == 1
    await clock.advance(0.2)
    assert len(got) == 2
    assert tegra.parse(got[1].decode()) is not None
    assert (await stream.wait()).stderr == "the recording is over"
    assert (await link.run(("x",), timeout_s=1)).exit_status == 127
    await link.close()


async def test_a_recording_without_samples_says_so(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("hello\n")
    with pytest.raises(LinkError, match="no tegrastats line"):
        await ReplayLink(tmp_path / "empty.txt").open()
    with pytest.raises(LinkError, match="no such file"):
        await ReplayLink(tmp_path / "none.txt").open()
