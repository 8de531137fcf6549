"""cohete.yaml: what is right loads, what is wrong says where and what to write instead."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cohete.config import loading
from cohete.config.devices import USB_ADDRESS, specs_from_config, specs_from_targets
from cohete.config.jsonschema import schema_text
from cohete.config.schema import Config
from cohete.config.spec import DeviceSpec, Reach
from cohete.config.target import Target
from cohete.errors import ConfigError

pytestmark = pytest.mark.claim("AI-05")
ROOT = Path(__file__).parents[2]
SAMPLES = sorted((ROOT / "sample-configs").glob("*.yaml"))


def faults(text: str) -> list[ConfigError]:
    config, errors = loading.check(text, "c.yaml")
    assert (config is None) == bool(errors)
    return errors


def good(text: str) -> Config:
    config, errors = loading.check(text, "c.yaml")
    assert config is not None, errors
    return config


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_each_sample_loads(path: Path) -> None:
    config = loading.load(path)
    assert config.fleet.devices
    assert specs_from_config(config, path.parent)


def test_there_is_a_sample_for_each_section() -> None:
    full = loading.load(ROOT / "sample-configs" / "full.yaml")
    assert full.model_fields_set == set(Config.model_fields)


def test_documented_examples_of_the_crate_load() -> None:
    readme = ROOT.parent / "shared" / "spec" / "cohete-readme.txt"
    if not readme.is_file():
        pytest.skip("the crate's documentation is not beside this project (../shared/spec)")
    examples = [
        text
        for text in re.findall(r"```yaml\n(.*?)```", readme.read_text(), re.DOTALL)
        if "fleet:" in text
    ]
    assert examples
    for text in examples:
        config = good(text)
        assert config.fleet.devices[0].memory_budget_mb == 6000


def test_everything_has_a_default() -> None:
    for text in ("", "# nothing\n", 'version: "1.0"', "version: 1.0", "version: 1"):
        config = good(text)
        assert config.version == "1.0"
        assert config.policy("conservative").threshold_c == 65
        assert config.policy("aggressive").threshold_c == 75


def test_a_lone_policy_leaves_the_other_as_it_is() -> None:
    config = good(
        "thermal: {conservative: {threshold_c: 60, cooldown_c: 50, check_interval_ms: 500}}"
    )
    assert config.policy("conservative").threshold_c == 60
    assert config.policy("aggressive").threshold_c == 75


def test_static_discovery_in_both_ways_of_writing() -> None:
    plain = good("discovery: {methods: [usb, static: [10.0.0.7]]}")
    tagged = good("discovery: {methods: [usb, !static [10.0.0.7]]}")
    assert plain == tagged


@pytest.mark.parametrize(
    ("text", "line", "column", "what", "hint"),
    [
        ("flet: {}", 1, 1, "unknown key 'flet'", "Did you mean 'fleet'?"),
        ("fleet:\n  devices:\n    - id: a\n      thermal_polcy: x", 4, 7, "unknown key",
         "'thermal_policy'"),
        ("fleet: {devices: [{connection: usb}]}", 1, 19, "needs the key 'id'", ""),
        ("version: 2", 1, 10, "version", ""),
        ("fleet: {devices: [{id: a, port: 0}]}", 1, 33, "greater than or equal to 1", ""),
        ("fleet: {devices: [{id: a, port: '22'}]}", 1, 33, "integer", "without quotes"),
        ("fleet: {devices: [{id: a, sudo: yes}]}", 1, 33, "boolean", "true or false"),
        ("fleet: {devices: [{id: -a}]}", 1, 24, "'-a' is not allowed", "letters"),
        ("fleet: {devices: [{id: a}, {id: a}]}", 1, 33, "used twice", "unique"),
        ("fleet: {devices: [{id: a, ip: 'x y'}]}", 1, 31, "no host name", ""),
        ("fleet: {devices: [{id: a, ip: 'fe80::1%'}]}", 1, 31, "zone", ""),
        ("fleet: {devices: [{id: a, jump: '-x'}]}", 1, 33, "no host name", ""),
        ("fleet: {devices: [{id: a, user: '-x'}]}", 1, 33, "login name", ""),
        ("fleet: {devices: [{id: a, connection: replay}]}", 1, 19, "needs a file", ""),
        ("fleet: {devices: [{id: a, thermal_policy: hot}]}", 1, 43, "'hot'", "conservative"),
        ("fleet: {groups: {g: {devices: [b]}}}", 1, 32, "'b'", ""),
        ("models: [{name: m, source: s, devices: al}]", 1, 40, "'al'", "Did you mean 'all'?"),
        ("models: [{name: m, source: s, quantization: q4_0, fit_mb: 9}]", 1, 10,
         "fit_mb takes the place of quantization", ""),
        ("models: [{name: m, source: s, quantization: q9}]", 1, 45, "'q9' is not one of", ""),
        ("thermal: {a: {threshold_c: 50, cooldown_c: 60, check_interval_ms: 500}}", 1, 14,
         "must be below", ""),
        ("thermal: {a: {threshold_c: 300, cooldown_c: 60, check_interval_ms: 500}}", 1, 28,
         "less than or equal", ""),
        ("thermal: {a: {threshold_c: .nan, cooldown_c: 60, check_interval_ms: 500}}", 1, 28,
         "finite", ""),
        ("thermal: {a: {threshold_c: 60}}", 1, 14, "needs the key 'cooldown_c'", ""),
        ("fleet: &x {}", 1, 8, "anchors", ""),
        ("fleet: {}\nfleet: {}", 2, 1, "stands here twice", "line 1"),
        ("a: *x", 1, 4, "aliases", ""),
        ("fleet: !!python/object:os.system {}", 1, 8, "tag", ""),
        ("? [a, b]\n: c", 1, 3, "plain word", ""),
        ("fleet: {\n", 2, 1, "not YAML", ""),
        ("- a", 1, 1, "`key: value`", "version"),
        ("a: 1\n---\nb: 2", 2, 1, "one document", ""),
        ("\tfleet: {}", 1, 1, "not YAML", ""),
        ("a: \x07", 1, 1, "not YAML", ""),
        ("a: " + "[" * 5000, 1, 27, "nested deeper", ""),
    ],
)  # fmt: skip
def test_what_is_wrong_and_where(text: str, line: int, column: int, what: str, hint: str) -> None:
    error = faults(text)[0]
    assert (error.line, error.column) == (line, column), str(error)
    assert what in error.what
    assert hint in error.hint
    assert str(error).startswith(f"c.yaml:{line}:{column}: ")


@pytest.mark.claim("DDC-13")
@pytest.mark.parametrize(
    "value", ["0", "0.05", "-1", "1e9", ".nan", ".inf", "'10'", "ten", "[1]", "601", "null"]
)
def test_timeouts_out_of_range_are_refused(value: str) -> None:
    assert faults(f"ssh: {{connect_timeout_s: {value}}}")


@pytest.mark.claim("DDC-13")
def test_timeouts_within_range_are_taken() -> None:
    for value in (0.1, 2.5, 600):
        assert good(f"ssh: {{connect_timeout_s: {value}}}").ssh.connect_timeout_s == value


def test_several_faults_are_told_at_once_in_order() -> None:
    found = faults("a: 1\nfleet:\n  b: 2\nssh:\n  keepalive_s: 0\n")
    assert [error.line for error in found] == [1, 3, 5]


def test_a_value_of_several_forms_has_one_fault() -> None:
    assert len(faults("discovery: {methods: [foo]}")) == 1
    assert len(faults("discovery: {methods: [{static: ['-x']}]}")) == 1


def test_oversize_and_unreadable_files(tmp_path: Path) -> None:
    big = tmp_path / "big.yaml"
    big.write_text("# " + "x" * (5 * 1024 * 1024))
    with pytest.raises(ConfigError, match="larger than 4 MiB"):
        loading.load(big)
    with pytest.raises(ConfigError, match="no such file"):
        loading.load(tmp_path / "missing.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"a: 1\nfleet: {name: \xe9}\n")
    with pytest.raises(ConfigError, match=r"latin.yaml:2:1: the file is not UTF-8"):
        loading.load(tmp_path / "latin.yaml")
    with pytest.raises(ConfigError, match="directory"):
        loading.load(tmp_path)


@given(st.text(max_size=300))
@example("fleet: {devices: [{id: a, ip: 1.2}]}")
@example("\ud800")
@example("a: !!binary x")
def test_any_text_is_a_config_or_an_error_with_a_place(text: str) -> None:
    config, errors = loading.check(text, "c.yaml")
    assert (config is None) == bool(errors)
    assert all(error.line >= 1 and error.column >= 1 for error in errors)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from([*Config.model_fields, "x"]), _json, max_size=4))
def test_any_tree_is_a_config_or_an_error_with_a_place(tree: dict[str, object]) -> None:
    config, errors = loading.check(json.dumps(tree), "c.yaml")
    assert (config is None) == bool(errors)
    assert all(error.line >= 1 for error in errors)


def test_the_shipped_schema_is_the_schema() -> None:
    shipped = ROOT / "cohete" / "config" / "cohete.schema.json"
    assert shipped.read_text() == schema_text(), "run `make schema`"


def test_every_key_of_the_fleet_is_documented_or_obvious() -> None:
    schema = json.loads(schema_text())
    device = schema["$defs"]["Device"]["properties"]
    undocumented = [key for key, value in device.items() if "description" not in value]
    assert undocumented == ["port"]


def test_devices_of_a_config() -> None:
    config = good(
        """
fleet:
  devices:
    - {id: a, ip: 10.0.0.7, user: nvidia, port: 2222, identity_file: id, interval_ms: 500}
    - {id: b, connection: usb}
    - {id: c, connection: mdns}
    - {id: d}
    - {id: e, connection: local}
    - {id: f, connection: replay, file: log.txt, memory_budget_mb: 100}
    - {id: g, jump: [x, "u@y:2222"]}
"""
    )
    specs = {spec.id: spec for spec in specs_from_config(config, Path("/base"))}
    assert specs["a"] == DeviceSpec(
        "a", Target("10.0.0.7", "nvidia", 2222), identity_file="/base/id", interval_ms=500
    )
    assert specs["b"].target.host == USB_ADDRESS
    assert specs["c"].target.host == "c.local"
    assert specs["d"].target.host == "d"
    assert specs["e"].reach is Reach.LOCAL
    assert specs["f"].file == Path("/base/log.txt")
    assert (specs["a"].memory_budget_mb, specs["f"].memory_budget_mb) == (None, 100)
    assert specs["g"].jumps == (Target("x"), Target("y", "u", 2222))


def test_groups_by_id_and_tag() -> None:
    config = loading.load(ROOT / "sample-configs" / "groups.yaml")
    assert config.members("cameras") == ["cam-01", "cam-02"]
    assert config.members("night-shift") == ["cam-01", "arm"]


@pytest.mark.claim("DDC-08")
def test_targets_named_twice_are_one_device_in_stable_order() -> None:
    texts = ("b@h", "a@h", "b@h", "ssh://b@h", "a@h:22")
    assert [spec.id for spec in specs_from_targets(texts)] == ["b@h", "a@h", "a@h:22"]


def test_where_a_config_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert loading.find_config("x.yaml") == Path("x.yaml")
    assert loading.find_config(cwd=tmp_path) is None
    (tmp_path / "cohete.yaml").touch()
    assert loading.find_config(cwd=tmp_path) == tmp_path / "cohete.yaml"
    monkeypatch.setenv("COHETE_CONFIG", "/elsewhere.yaml")
    assert loading.find_config(cwd=tmp_path) == Path("/elsewhere.yaml")
