"""Themes, signs and keys as a person wants them: data files whose faults are said."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.segment import Segment
from textual.color import Color

import cohete
from cohete.cli.verbs import VERBS
from cohete.config.schema import Dashboard
from cohete.errors import ConfigError
from cohete.fleet.session import FleetPlan
from cohete_tui import themes
from cohete_tui.actions import ACTIONS
from cohete_tui.app import CoheteApp
from cohete_tui.ascii import AsciiFilter, needs_ascii, plain
from cohete_tui.keymap import check_keymap, keys_of, load_keymap
from cohete_tui.keys_page import keys_page
from cohete_tui.launch import Launch
from cohete_tui.looks import Looks, looks_of
from cohete_tui.screens.fleet import FleetScreen
from tests.tui.support import StillSession, mixed_store, notices, settle, text_of

DOCS = Path(__file__).parents[2] / "docs"
THEMES = [theme.name for theme in themes.built_in()]
ROLES = ("success", "warning", "error", "primary", "secondary", "foreground")


def contrast(one: Color, other: Color) -> float:
    """WCAG 2.1, relative luminance."""

    def luminance(colour: Color) -> float:
        parts = [part / 255 for part in colour.rgb]
        linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4
                  for part in parts]  # fmt: skip
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def seen_as(colour: Color, rows: tuple[tuple[float, float, float], ...]) -> Color:
    """A colour as a colour-blind eye sees it (Machado 2009, severity 1.0)."""
    red, green, blue = (
        max(0, min(255, round(sum(a * b for a, b in zip(row, colour.rgb, strict=True)))))
        for row in rows
    )
    return Color(red, green, blue)


DEUTERANOPIA = (
    (0.367322, 0.860646, -0.227968),
    (0.280085, 0.672501, 0.047413),
    (-0.011820, 0.042940, 0.968881),
)
TRITANOPIA = (
    (1.255528, -0.076749, -0.178779),
    (-0.078411, 0.930809, 0.147602),
    (0.004733, 0.691367, 0.303900),
)


def apart(one: Color, other: Color) -> float:
    return math.dist(one.rgb, other.rgb)


def test_the_themes_that_come_with_it() -> None:
    assert THEMES[0] == "cohete-dark"
    assert {name.removeprefix("cohete-") for name in THEMES} == {
        "dark", "light", "deuteranopia", "tritanopia", "ansi", "contrast", "mono",
    }  # fmt: skip


@pytest.mark.parametrize("name", [name for name in THEMES if name != "cohete-ansi"])
def test_every_text_can_be_read(name: str) -> None:
    theme = next(theme for theme in themes.built_in() if theme.name == name)
    least = 7.0 if name == "cohete-contrast" else 4.5
    for role in ROLES:
        for ground in ("background", "surface", "panel"):
            value = contrast(Color.parse(getattr(theme, role)), Color.parse(getattr(theme, ground)))
            needed = least if ground == "background" else 3.0
            assert value >= needed, (name, role, ground, round(value, 2))


@pytest.mark.parametrize(
    ("name", "eye"), [("cohete-deuteranopia", DEUTERANOPIA), ("cohete-tritanopia", TRITANOPIA)]
)
def test_states_stay_apart_for_a_colour_blind_eye(
    name: str, eye: tuple[tuple[float, float, float], ...]
) -> None:
    theme = next(theme for theme in themes.built_in() if theme.name == name)
    seen = {
        role: seen_as(Color.parse(getattr(theme, role)), eye)
        for role in ("success", "warning", "error")
    }
    for one, other in (("success", "warning"), ("success", "error"), ("warning", "error")):
        assert apart(seen[one], seen[other]) > 60, (one, other, seen)


@pytest.mark.parametrize("name", THEMES)
@pytest.mark.parametrize("size", [(80, 24), (200, 50)])
async def test_every_theme_draws(name: str, size: tuple[int, int]) -> None:
    app = CoheteApp(Launch(looks=Looks(theme=name)), session=StillSession(mixed_store()),
                    timer=False)  # fmt: skip
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        assert app.theme == name
        assert "● live" in text_of(app)
        await pilot.press("t", "enter")
        await settle(pilot)
        assert "refused" in text_of(app)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("dark = ", "this is not TOML"),
        ("dark = true", "there is no [colors]"),
        ("[colors]\nprimari = '#fff'", "there is no colour role 'primari'. Did you mean primary?"),
        ("[colors]\naccent = '#fff'", "[colors] names no primary"),
        ("[colors]\nprimary = 'blueish'", "primary = 'blueish' is no colour"),
        ("light = true\n[colors]\nprimary = '#fff'", "there is no key 'light'"),
        ("[colors]\nprimary = '#fff'\n[variables]\nborder = 3", "[variables] are texts"),
        ("[colors]\nprimary = '#fff'\n[variables]\nborder = '#fff; } * { display: none'",
         "[variables] are texts"),
    ],
)  # fmt: skip
def test_a_theme_with_a_fault_is_explained(text: str, said: str) -> None:
    with pytest.raises(themes.ThemeError) as caught:
        themes.theme_from_toml("mine", text)
    assert said in str(caught.value)


async def test_what_is_painted_takes_a_colour_that_changed_alone(tmp_path: Path) -> None:
    """The track of a bar is no colour of a widget's own: only what it painted has to change."""
    mine = tmp_path / "mine.toml"
    mine.write_text("[colors]\nprimary = '#ff0000'\n[variables]\ntrack = '#123456'\n")
    looks = Looks(theme="mine", themes=themes.ThemeFolder(tmp_path))
    app = CoheteApp(Launch(looks=looks), session=StillSession(mixed_store()), timer=False)
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        assert "#123456" in app.export_screenshot()
        mine.write_text("[colors]\nprimary = '#ff0000'\n[variables]\ntrack = '#654321'\n# later\n")
        await app._look_for_themes()
        await settle(pilot)
        picture = app.export_screenshot()
        assert "#654321" in picture
        assert "#123456" not in picture


async def test_own_themes_are_taken_and_taken_again_when_they_change(tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text("[colors]\nprimary = '#ff0000'\nerror = '#aa0000'\n")
    (tmp_path / "Bad Name.toml").write_text("")
    looks = Looks(theme="mine", themes=themes.ThemeFolder(tmp_path))
    app = CoheteApp(Launch(looks=looks), session=StillSession(mixed_store()), timer=False)
    async with app.run_test(notifications=True) as pilot:
        await settle(pilot)
        assert app.theme == "mine"
        assert app.theme_variables["error"] == "#A90000"
        assert "Bad Name" in notices(app)
        mine.write_text("[colors]\nprimary = '#ff0000'\nerror = '#00aa00'\n# later\n")
        await app._look_for_themes()
        await pilot.pause()
        assert app.theme_variables["error"] == "#00AA00"
        mine.write_text("[colors]\nprimary = 'x'\n")
        await app._look_for_themes()
        await pilot.pause()
        assert "is no colour" in notices(app)
        assert app.theme_variables["error"] == "#00AA00"


async def test_a_theme_that_does_not_exist_is_said() -> None:
    looks = Looks(theme="cohete-drak")
    app = CoheteApp(Launch(looks=looks), session=StillSession(mixed_store()), timer=False)
    async with app.run_test(notifications=True) as pilot:
        await settle(pilot)
        assert "Did you mean cohete-dark?" in notices(app)
        assert app.theme == "cohete-dark"


def test_every_sign_that_is_drawn_has_a_counterpart() -> None:
    root = Path(cohete.__file__).parent.parent
    files = [*root.glob("cohete/**/*.py"), *root.glob("cohete_tui/**/*.py")]
    signs = {sign for file in files for sign in file.read_text(encoding="utf-8")}
    missing = {sign for sign in signs if not sign.isascii() and "?" in plain(sign)}
    assert missing == set()


@given(st.text(max_size=40))
def test_ascii_takes_the_same_room(text: str) -> None:
    assert plain(text).isascii()
    assert cell_len(plain(text)) == cell_len(text)
    [segment] = AsciiFilter().apply([Segment(text)], Color.parse("black"))
    assert segment.text == plain(text)


@pytest.mark.parametrize("keys", [[], ["t"], ["t", "b", "space"], ["enter"], ["question_mark"]])
async def test_nothing_but_ascii_is_drawn(keys: list[str]) -> None:
    app = CoheteApp(Launch(looks=Looks(ascii=True)), session=StillSession(mixed_store()),
                    timer=False)  # fmt: skip
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        await pilot.press(*keys)
        await settle(pilot)
        strips = app.screen._compositor.render_strips()
        text = "\n".join(strip.text for strip in strips)
        assert text.isascii(), {sign for sign in text if not sign.isascii()}
        assert "enter open" in text or keys


@pytest.mark.parametrize(
    ("term", "expected"), [("linux", True), ("vt220", True), ("xterm-256color", False)]
)
def test_poor_terminals_get_ascii(term: str, expected: bool) -> None:
    assert needs_ascii({"TERM": term}) is expected


def test_looks_come_from_the_command_line_then_the_file_then_the_terminal(tmp_path: Path) -> None:
    asked = Dashboard(theme="cohete-light", ascii=True)
    found = looks_of(tmp_path, asked, theme="cohete-mono", ascii_only=False)
    assert (found.theme, found.ascii) == ("cohete-mono", False)
    found = looks_of(tmp_path, asked)
    assert (found.theme, found.ascii) == ("cohete-light", True)
    found = looks_of(tmp_path, None, environ={"TERM": "linux"})
    assert (found.theme, found.ascii) == ("cohete-ansi", True)
    (tmp_path / "keys.yaml").write_text("fleet.pause: U\n")
    assert looks_of(tmp_path, None).keys == {"fleet.pause": "U"}


def test_the_page_of_keys_is_the_list_of_actions() -> None:
    assert (DOCS / "keys.md").read_text() == keys_page(), "run `make keys`"
    shown = {action.id for action in ACTIONS if action.keys}
    assert [each for each in shown if f"`{each}`" not in keys_page()] == []


def test_the_pages_of_commands_are_what_they_say(tmp_path: Path) -> None:
    # In a process of its own: a command remembers how its help was asked for first.
    argv = [sys.executable, "-m", "cohete_tui.command_pages", str(tmp_path)]
    subprocess.run(argv, check=True)
    wanted = {path.name: path.read_text() for path in tmp_path.glob("*.md")}
    found = {path.name: path.read_text() for path in (DOCS / "commands").glob("*.md")}
    assert found.keys() == wanted.keys(), "run `make commands`"
    stale = [name for name in wanted if found[name] != wanted[name]]
    assert stale == [], "run `make commands`"
    assert {f"cohete-{verb}.md" for verb in VERBS} < found.keys()


def test_ids_are_unique_and_no_bare_letter_is_destructive() -> None:
    ids = [action.id for action in ACTIONS]
    assert len(ids) == len(set(ids))
    for action in ACTIONS:
        for letter in "hjkl":
            if letter in action.keys.split(","):
                assert action.area == "Move"


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("fleet.pause: U\nfleet.puase: x\n", 2, "Did you mean fleet.pause?"),
        ("# mine\n\nfleet.pause: [U, f99]\n", 3, "'f99' is no key"),
        ("fleet.pause: t\n", 1, "'t' is the key of fleet.toggle-view too"),
        ("everywhere.quit: t\n", 1, "'t' is the key of fleet.toggle-view too"),
        ("fleet.pause: {a: b}\n", 1, "a key is a text"),
        ("fleet.pause: []\n", 1, "there is no key"),
        ("- a\n", 1, "not a list of action ids"),
        ("a: b: c\n", 1, "this is not YAML"),
        ("fleet.pause: U\nfleet.pause: x\n", 2, "twice"),
    ],
)
def test_a_keymap_with_a_fault_names_its_line(text: str, line: int, said: str) -> None:
    _, errors = check_keymap(text, "keys.yaml")
    assert errors[0].line == line
    assert said in str(errors[0]), errors


def test_a_keymap_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "keys.yaml"
    path.write_text('fleet.pause: [U, F9, "?"]\nfleet.toggle-view: p\neverywhere.help: f1\n')
    keymap = load_keymap(path)
    assert keymap["fleet.pause"] == "U,f9,question_mark"
    assert keys_of(keymap)["fleet.toggle-view"] == "p"
    path.write_text("")
    assert load_keymap(path) == {}
    with pytest.raises(ConfigError, match="cannot read"):
        load_keymap(tmp_path / "nothing.yaml")


async def test_own_keys_work_and_are_shown() -> None:
    looks = Looks(keys={"fleet.pause": "U", "fleet.filter": "f2", "everywhere.help": "f1"})
    app = CoheteApp(Launch(looks=looks), session=StillSession(mixed_store()), timer=False)
    async with app.run_test(size=(100, 90)) as pilot:
        await settle(pilot)
        assert "U pause" in text_of(app).splitlines()[-1]
        await pilot.press("U")
        await settle(pilot)
        assert "PAUSED" in text_of(app)
        await pilot.press("p", "U")
        await settle(pilot)
        assert "PAUSED" not in text_of(app)
        await pilot.press("f1")
        await pilot.pause()
        assert "  U               Stop the screen" in text_of(app)


@pytest.mark.claim("AI-01")
async def test_the_configuration_says_how_the_dashboard_begins() -> None:
    start = Dashboard(
        view="wide", filter="tag:camera", sort="power", reverse=True, group="site", rate_s=2.0
    )
    store = mixed_store()
    plan = FleetPlan([device.spec for device in store], dashboard=start)
    app = CoheteApp(Launch(plan), session=StillSession(store), timer=False)
    async with app.run_test(size=(120, 30)) as pilot:
        await settle(pilot)
        await settle(pilot)
        header = text_of(app).splitlines()[0]
        for part in ("/tag:camera shows 2", "by site", "by power▲", "every 2s"):
            assert part in header
        assert isinstance(app.screen, FleetScreen)
        assert app.screen.canvas.layout_of_fleet.pinned_cells()


def test_every_start_value_of_the_schema_has_a_name_on_the_screen() -> None:
    from cohete_tui.fleet_commands import VIEWS
    from cohete_tui.ordering import GROUPINGS, SORTS

    properties = Dashboard.model_json_schema()["properties"]
    assert properties["sort"]["enum"] == [sort.name for sort in SORTS]
    assert properties["view"]["enum"] == list(VIEWS)
    assert properties["group"]["enum"] == [name or "none" for name in GROUPINGS]


@pytest.mark.skipif(os.name == "nt", reason="no locale names of that kind")
def test_a_locale_without_utf8_gets_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("locale.getpreferredencoding", lambda do_setlocale=True: "ANSI_X3.4-1968")
    assert needs_ascii({"TERM": "xterm-256color"})
