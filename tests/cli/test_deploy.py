"""Models made and copied by one command, from a file and from a configuration."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from cohete.control.change import Change
from cohete.control.files import PutFile
from cohete.errors import ChangeRefused
from cohete.quantize.manifest import read_manifest, verify
from tests.cli.test_commands import run
from tests.openssh import Sshd, openssh
from tests.quantize.models import MODELS, pairs_of, write
from tests.quantize.vocabulary import vocabulary_pairs


def model(folder: Path, name: str) -> Path:
    small = MODELS[name]
    folder.mkdir(exist_ok=True)
    pairs = pairs_of(small) | vocabulary_pairs(small.vocabulary)
    return write(small, folder / f"{name}.gguf", pairs)


def config(tmp_path: Path, server: Sshd, models: list[dict[str, object]]) -> str:
    (Path.home() / ".ssh").mkdir(mode=0o700, exist_ok=True)
    (Path.home() / ".ssh" / "known_hosts").write_text(server.known_hosts)
    spec = server.spec()
    device = {
        "id": "board", "connection": "ethernet", "ip": "127.0.0.1", "port": server.port,
        "user": spec.target.user, "identity_file": spec.identity_file, "tags": ["lab"],
    }  # fmt: skip
    fleet = {"devices": [device], "groups": {"lab": {"tags": ["lab"]}}}
    path = tmp_path / "cohete.yaml"
    path.write_text(yaml.safe_dump({"version": "1.0", "fleet": fleet, "models": models}))
    return str(path)


@pytest.mark.claim("MM-04")
def test_models_of_a_configuration_are_made_and_copied_and_not_twice(tmp_path: Path) -> None:
    model(tmp_path / "files", "tied-f16")
    model(tmp_path / "files", "untied-bf16")
    there = tmp_path / "there"
    with openssh(tmp_path / "sshd") as server:
        path = config(tmp_path, server, [
            {"name": "small", "source": "files/tied-f16.gguf", "quantization": "q5_0"},
            {"name": "best", "source": "files/untied-bf16.gguf", "devices": "lab"},
            {"name": "fine", "source": "files/tied-f16.gguf", "quantization": "q4_0",
             "quality": True},
            {"name": "sized", "source": "files/tied-f16.gguf", "fit_mb": 0.8},
        ])  # fmt: skip
        argv = ("deploy", "--config", path, "--to", str(there))
        code, out, err = run(*argv, "--dry-run")
        assert code == 0, err
        assert "small: would be made as small-q5_0.gguf, 0.9 MB" in out
        assert not there.exists()
        # Two of them are tried out, which takes its time on a machine that has other work.
        code, out, err = run(*argv, "--yes", timeout_s=300)
        assert code == 0, out + err
        assert "small: made as small-q5_0.gguf" in out
        # Nothing was said of a level, and so small a model fits as it is.
        assert sorted(each.name for each in there.glob("*.gguf")) == [
            "fine-q4_0-searched.gguf", "sized-0.8mb.gguf", "small-q5_0.gguf", "untied-bf16.gguf",
        ]  # fmt: skip
        files = tmp_path / "files"
        assert 500_000 < (files / "sized-0.8mb.gguf").stat().st_size <= 800_000
        fine = read_manifest(files / "fine-q4_0-searched.gguf")
        assert fine is not None
        assert fine.encoder != "reference-2"
        assert "that the model wrote by itself" in fine.choice
        made = tmp_path / "files" / "small-q5_0.gguf"
        verify(made)
        assert (there / made.name).read_bytes() == made.read_bytes()
        code, out, err = run(*argv, "--yes")
        assert code == 0, err
        assert "made as" not in out
        assert "already so" in out or "nothing to do" in out


def test_one_file_and_what_is_damaged_is_not_carried(tmp_path: Path) -> None:
    source = model(tmp_path, "tied-f16")
    target = tmp_path / "q.gguf"
    there = tmp_path / "there"
    assert run("quantize", str(source), "--level", "q4_0", "-o", str(target), "--yes")[0] == 0
    with openssh(tmp_path / "sshd") as server:
        path = config(tmp_path, server, [])
        argv = ("deploy", str(target), "--config", path, "--to", str(there), "--yes")
        code, out, err = run(*argv, "--json")
        assert code == 0, err
        assert json.loads(out)
        assert (there / "q.gguf").read_bytes() == target.read_bytes()
        data = bytearray(target.read_bytes())
        data[-100] ^= 1
        target.write_bytes(data)
        code, _, err = run(*argv)
        assert code == 2
        assert "it is damaged" in err
        code, _, err = run("deploy", "--config", path)
        assert code == 2
        assert "there is no model to deploy" in err


@pytest.mark.claim("MM-04")
def test_what_could_not_be_served_is_not_copied() -> None:
    board = {
        "space": b"Filesystem 1024-blocks Used Available Capacity Mounted on\n"
        b"/dev/nvme0n1p1 900000000 1000 800000000 1% /\n",
        "meminfo": b"MemTotal:        7789568 kB\n",
    }
    too_large = PutFile("/m/seven-f16.gguf", "0" * 64, 14_000_000_000, needs_mib=14_925)
    with pytest.raises(ChangeRefused, match="takes 14925 MiB to be served, and the board has 7607"):
        too_large.plan("nano", board)
    fits = PutFile("/m/seven-q4_0.gguf", "0" * 64, 4_000_000_000, needs_mib=5_365)
    assert isinstance(fits.plan("nano", board), Change)


@pytest.mark.parametrize(
    ("source", "level", "words"),
    [
        ("pacha://x/y", "q4_0", "is no file here"),
        ("files/none.gguf", None, "is no file here"),
        ("files/tied-f16.gguf", "q6_k", "q6_k cannot be made here"),
    ],
)
def test_what_cannot_be_made_says_so(
    tmp_path: Path, source: str, level: str | None, words: str
) -> None:
    model(tmp_path / "files", "tied-f16")
    listed: dict[str, object] = {"name": "m", "source": source, "quantization": level}
    fleet = {"devices": [{"id": "a", "connection": "ethernet", "ip": "127.0.0.1"}]}
    path = tmp_path / "cohete.yaml"
    path.write_text(yaml.safe_dump({"version": "1.0", "fleet": fleet, "models": [listed]}))
    code, _, err = run("deploy", "--config", str(path), "--yes")
    assert code == 2
    assert words in err


def test_a_source_that_is_missing_is_told_before_others_are_made(tmp_path: Path) -> None:
    source = model(tmp_path / "files", "tied-f16")
    listed: list[dict[str, object]] = [
              {"name": "a", "source": str(source), "quantization": "q4_0"},
              {"name": "b", "source": "files/none.gguf"}]  # fmt: skip
    fleet = {"devices": [{"id": "a", "connection": "ethernet", "ip": "127.0.0.1"}]}
    path = tmp_path / "cohete.yaml"
    path.write_text(yaml.safe_dump({"version": "1.0", "fleet": fleet, "models": listed}))
    code, _, err = run("deploy", "--config", str(path), "--yes")
    assert (code, "the source of b is no file here" in err) == (2, True)
    assert list(source.parent.iterdir()) == [source]
    # What is for other boards is not looked for.
    listed[0]["devices"], listed[1]["devices"] = ["a"], ["other"]
    fleet["devices"].append({"id": "other", "connection": "ethernet", "ip": "127.0.0.2"})
    path.write_text(yaml.safe_dump({"version": "1.0", "fleet": fleet, "models": listed}))
    code, out, err = run("deploy", "--config", str(path), "--dry-run", "a")
    assert (code, "would be made as a-q4_0.gguf" in out) == (0, True), err


def test_what_is_quantized_already_is_not_copied_where_it_is_too_large(tmp_path: Path) -> None:
    source = model(tmp_path / "files", "tied-f16")
    code, _, err = run("quantize", str(source), "--level", "q8_0", "-y")
    assert code == 0, err
    listed = {"name": "m", "source": "files/tied-q8_0.gguf", "fit_mb": 0.5}
    fleet = {"devices": [{"id": "a", "connection": "ethernet", "ip": "127.0.0.1"}]}
    path = tmp_path / "cohete.yaml"
    path.write_text(yaml.safe_dump({"version": "1.0", "fleet": fleet, "models": [listed]}))
    code, _, err = run("deploy", "--config", str(path), "--yes")
    assert code == 2
    assert "quantized already, so it cannot be made to fit 0.5 MB" in err


def test_a_level_without_a_search_is_not_called_searched(tmp_path: Path) -> None:
    model(tmp_path / "files", "tied-f16")
    listed = {"name": "m", "source": "files/tied-f16.gguf", "quantization": "q8_0",
              "quality": True}  # fmt: skip
    fleet = {"devices": [{"id": "a", "connection": "ethernet", "ip": "127.0.0.1"}]}
    path = tmp_path / "cohete.yaml"
    path.write_text(yaml.safe_dump({"version": "1.0", "fleet": fleet, "models": [listed]}))
    code, out, err = run("deploy", "--config", str(path), "--dry-run")
    assert code == 0, err
    assert "would be made as m-q8_0.gguf" in out


def test_a_file_of_somebody_else_is_not_replaced(tmp_path: Path) -> None:
    model(tmp_path / "files", "tied-f16")
    precious = tmp_path / "files" / "small-q4_0.gguf"
    precious.write_bytes(b"precious")
    listed: dict[str, object] = {
        "name": "small", "source": "files/tied-f16.gguf", "quantization": "q4_0",
    }  # fmt: skip
    fleet = {"devices": [{"id": "a", "connection": "ethernet", "ip": "127.0.0.1"}]}
    path = tmp_path / "cohete.yaml"
    path.write_text(yaml.safe_dump({"version": "1.0", "fleet": fleet, "models": [listed]}))
    code, out, _ = run("deploy", "--config", str(path), "--dry-run")
    assert (code, "would be made as" in out) == (0, True)
    code, _, err = run("deploy", "--config", str(path), "--yes")
    assert (code, "was not made by" in err) == (2, True)
    assert precious.read_bytes() == b"precious"
