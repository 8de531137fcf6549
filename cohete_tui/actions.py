"""Everything a person can do, in one list: key bindings, footer, help and palette come from it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from textual.binding import Binding


class Scope(StrEnum):
    """Where an action works."""

    EVERYWHERE = "everywhere"
    FLEET = "fleet"
    DEVICE = "device"
    START = "start"
    EVENTS = "events"
    ACTIVITY = "activity"
    LOG = "log"
    CONNECTION = "connection"
    COMPARE = "compare"
    POWER = "power"
    CHANGE = "change"
    AUDIT = "audit"
    WIZARD = "wizard"
    DISCOVER = "discover"
    SETUP = "setup"


@dataclass(frozen=True, slots=True)
class Action:
    """An action: `name` is the method `action_<name>` of its screen or of the app.

    `label` stands in the footer (empty: not shown there), `help` in the help screen and the
    palette, `area` groups both.
    """

    name: str
    keys: str
    scope: Scope
    area: str
    help: str
    label: str = ""
    priority: bool = False
    slug: str = ""

    @property
    def id(self) -> str:
        """Stable name for keymaps."""
        return f"{self.scope}.{(self.slug or self.name).replace('_', '-')}"


_F, _D, _S, _V, _E = Scope.FLEET, Scope.DEVICE, Scope.START, Scope.EVENTS, Scope.EVERYWHERE
_A, _L, _C, _K = Scope.ACTIVITY, Scope.LOG, Scope.CONNECTION, Scope.COMPARE
_P, _H, _U, _W = Scope.POWER, Scope.CHANGE, Scope.AUDIT, Scope.WIZARD
_B, _G = Scope.DISCOVER, Scope.SETUP


def _steps(
    scope: Scope, first: str = "To the first", last: str = "To the last"
) -> tuple[Action, ...]:
    """Moving in a list."""
    return (
        Action("step(-1)", "up,k", scope, "Move", "Up", slug="up"),
        Action("step(1)", "down,j", scope, "Move", "Down", slug="down"),
        Action("step(-20)", "pageup", scope, "Move", "A page up", slug="page-up"),
        Action("step(20)", "pagedown", scope, "Move", "A page down", slug="page-down"),
        Action("step(-99999)", "home,g", scope, "Move", first, slug="first"),
        Action("step(99999)", "end,G", scope, "Move", last, slug="last"),
    )


def _scrolls(scope: Scope) -> tuple[Action, ...]:
    """Moving over a page that is longer than the screen."""
    return (
        Action("scroll(-1)", "up,k", scope, "Move", "Scroll up", slug="up"),
        Action("scroll(1)", "down,j", scope, "Move", "Scroll down", slug="down"),
        Action("scroll(-10)", "pageup", scope, "Move", "A page up", slug="page-up"),
        Action("scroll(10)", "pagedown", scope, "Move", "A page down", slug="page-down"),
        Action("scroll(-10000)", "home,g", scope, "Move", "To the top", slug="top"),
        Action("scroll(10000)", "end,G", scope, "Move", "To the bottom", slug="bottom"),
    )


ACTIONS: tuple[Action, ...] = (
    Action("open", "enter", _F, "Fleet", "Open the device under the cursor", "open"),
    Action("toggle_view", "t", _F, "Fleet", "Switch between panes and table", "view"),
    Action("wide", "w", _F, "Fleet", "Every column of the table; left and right scroll"),
    Action("filter", "slash", _F, "Fleet", "Show only devices that match", "filter"),
    Action("faults", "z", _F, "Fleet", "Show only what needs somebody"),
    Action("next_grouping", "b", _F, "Fleet", "Group by tag, site, module, or not at all"),
    Action("fold_all", "F", _F, "Fleet", "Fold every group, or unfold them"),
    Action("next_sort", "s", _F, "Fleet", "Order by the next column"),
    Action("previous_sort", "S", _F, "Fleet", "Order by the previous column"),
    Action("reverse", "r", _F, "Fleet", "Turn the order round"),
    Action("clear", "escape", _F, "Fleet", "Clear the marks, else the filter"),
    Action(
        "mark", "space", _F, "Marks", "Mark the device or the group; again takes it away", "mark"
    ),
    Action("events", "e", _F, "Events", "Everything that happened", "events"),
    Action("mark_range", "V,ctrl+@", _F, "Marks", "Mark from the last mark to here"),
    Action("invert_marks", "asterisk", _F, "Marks", "Mark what is not marked, and the reverse"),
    Action(
        "pause", "p", _F, "Time", "Stop the screen and look at this moment; again goes on", "pause"
    ),
    Action("rate(1)", "plus", _F, "Time", "Draw more often", slug="faster"),
    Action("rate(-1)", "minus", _F, "Time", "Draw less often", slug="slower"),
    Action("copy", "y", _F, "Take away", "Copy the rows to the clipboard"),
    Action("copy_json", "Y", _F, "Take away", "Copy all that is known as JSON"),
    Action(
        "export", "ctrl+s", _F, "Take away", "Write what is shown to a file: CSV, JSON, Markdown"
    ),
    Action("shell", "exclamation_mark", _F, "Connection", "A shell on the device; exit comes back"),
    Action("compare", "C", _F, "Marks", "The marked devices in the same charts"),
    Action("activity", "P", _F, "Fleet", "Processes, network and disks of the device"),
    Action("log", "L", _F, "Fleet", "The log of the device"),
    Action("connection", "i", _F, "Connection", "Why a device is lost, each try, its key"),
    Action("power", "m", _F, "Change", "Power mode, clocks, fan, breaker of the device", "power"),
    Action("quantize", "Q", _F, "Models", "A smaller model that fits: choose, make, check"),
    Action("setup", "I", _F, "Change", "Set the board up: key, rights, packages, disk, swap"),
    Action("audit", "u", _F, "Change", "What was changed on which board, and what came of it"),
    Action("move(0,-1)", "up,k", _F, "Move", "Up", slug="up"),
    Action("move(0,1)", "down,j", _F, "Move", "Down", slug="down"),
    Action("move(-1,0)", "left,h", _F, "Move", "Left", slug="left"),
    Action("move(1,0)", "right,l", _F, "Move", "Right", slug="right"),
    Action("page(-1)", "pageup", _F, "Move", "A page up", slug="page-up"),
    Action("page(1)", "pagedown", _F, "Move", "A page down", slug="page-down"),
    Action("edge(0)", "home,g", _F, "Move", "To the first device", slug="first"),
    Action("edge(1)", "end,G", _F, "Move", "To the last device", slug="last"),
    Action("back", "escape,backspace", _D, "Device", "Back to the fleet", "back"),
    Action("neighbour(1)", "n", _D, "Device", "Next device", "next", slug="next"),
    Action("neighbour(-1)", "N", _D, "Device", "Previous device", slug="previous"),
    Action("zoom(-1)", "plus", _D, "Time", "A shorter time in the charts", slug="zoom-in"),
    Action(
        "zoom(1)", "minus", _D, "Time", "A longer time in the charts: up to a day", slug="zoom-out"
    ),
    Action("pan(-1)", "left,h", _D, "Move", "The charts back in time", slug="pan-back"),
    Action("pan(1)", "right,l", _D, "Move", "The charts towards now", slug="pan-on"),
    Action(
        "cross(-1)", "comma", _D, "Time", "Read values at a moment: further back", slug="cross-back"
    ),
    Action(
        "cross(1)", "full_stop", _D, "Time", "Read values at a moment: further on", slug="cross-on"
    ),
    Action("now", "0", _D, "Time", "Back to now"),
    *_scrolls(_D),
    Action("connect", "c", _F, "Connection", "Try again now, or look at a new host key"),
    Action("connect", "c", _D, "Connection", "Try again now, or look at a new host key", "connect"),
    Action("events", "e", _D, "Events", "Everything that happened", "events"),
    Action("shell", "exclamation_mark", _D, "Connection", "A shell on the device; exit comes back"),
    Action("activity", "P", _D, "Device", "Processes, network and disks", "processes"),
    Action("log", "L", _D, "Device", "The device's log", "log"),
    Action("connection", "i", _D, "Connection", "Why it is lost, each try, its key"),
    Action("power", "m", _D, "Change", "Power mode, clocks, fan, breaker", "power"),
    Action("audit", "u", _D, "Change", "What was changed, and what came of it"),
    Action("back", "escape,backspace", _P, "Change", "Back", "back"),
    Action("choose", "enter", _P, "Change", "Show what it would run, and ask", "choose"),
    Action("read", "r", _P, "Change", "Read the board again", "read again"),
    Action("audit", "u", _P, "Change", "What was changed, and what came of it", "audit"),
    *_steps(_P),
    Action(
        "back",
        "escape",
        _H,
        "Change",
        "When all is over, back; before, begin no further board",
        "back",
    ),
    Action("step(-1)", "up,k", _H, "Move", "Up", slug="up"),
    Action("step(1)", "down,j", _H, "Move", "Down", slug="down"),
    Action("back", "escape,backspace", _U, "Change", "Clear the filter, else back", "back"),
    Action("filter", "slash", _U, "Change", "Show only changes that match", "filter"),
    *_steps(_U, "To the newest", "To the oldest"),
    Action("back", "escape,backspace", _W, "Models", "Back a step; from the first, out", "back"),
    Action("choose", "enter", _W, "Models", "Take it, and go on", "go on"),
    Action(
        "filter",
        "slash",
        _W,
        "Models",
        "Type the path or name of a model, or where it will be",
        "type",
    ),
    Action("mark", "space", _W, "Models", "One more board, or not this one"),
    Action("context(1)", "plus", _W, "Models", "A longer context", "context", slug="longer"),
    Action("context(-1)", "minus", _W, "Models", "A shorter context", slug="shorter"),
    Action("slots", "s", _W, "Models", "More requests at a time", "slots"),
    Action("kv_type", "v", _W, "Models", "The cache stored in another way", "cache"),
    Action("search", "x", _W, "Models", "Search for the best scales, or not", "search"),
    Action("cancel", "X", _W, "Models", "End the run; it leaves nothing behind"),
    Action("deploy", "d", _W, "Models", "Copy what was made to the boards it is for"),
    Action("anew", "n", _W, "Models", "Another model, after a run"),
    Action("copy", "y", _W, "Take away", "Copy the choice as YAML"),
    *_steps(_W),
    Action("back", "escape,backspace", _B, "Start", "Back", "back"),
    Action("choose", "enter", _B, "Start", "Connect to it", "connect"),
    Action("console", "c", _B, "Start", "Its serial console, in this terminal", "console"),
    Action("search", "r", _B, "Start", "Search again", "search again"),
    *_steps(_B),
    Action("back", "escape,backspace", _G, "Setup", "Leave; it goes on where it was left", "back"),
    Action("choose", "enter", _G, "Setup", "Show what the step does, ask, and do it", "do it"),
    Action(
        "skip",
        "s",
        _G,
        "Setup",
        "Skip the step, with a reason; on a skipped one take that back",
        "skip",
    ),
    Action("undo", "z", _G, "Setup", "Take the step back, where that is possible", "undo"),
    Action("option", "o", _G, "Setup", "Another choice: packages, disk, size", "options"),
    Action("read", "r", _G, "Setup", "Look at the board again", "look again"),
    Action(
        "shell", "exclamation_mark", _G, "Setup", "A shell on the board; exit comes back", "shell"
    ),
    *_steps(_G),
    Action("back", "escape,backspace", _A, "Processes", "Clear the filter, else back", "back"),
    Action("filter", "slash", _A, "Processes", "Show only processes that match", "filter"),
    Action("next_sort", "s", _A, "Processes", "Order by CPU, memory, GPU memory", "order"),
    *_steps(_A),
    Action("back", "escape,backspace", _L, "Log", "Clear the search, else back", "back"),
    Action("filter", "slash", _L, "Log", "Search", "search", slug="search"),
    Action("find(1)", "n", _L, "Log", "To the next line found", "next", slug="next"),
    Action("find(-1)", "N", _L, "Log", "To the previous line found", slug="previous"),
    Action("next_source", "s", _L, "Log", "Journal, kernel messages, dmesg", "source"),
    Action("wrap", "w", _L, "Log", "Wrap long lines, or not", "wrap"),
    Action("follow", "f", _L, "Log", "Follow the end, or stay", "follow"),
    Action("save", "ctrl+s", _L, "Take away", "Write the lines to a file"),
    Action("move(-1)", "up,k", _L, "Move", "Up", slug="up"),
    Action("move(1)", "down,j", _L, "Move", "Down", slug="down"),
    Action("sideways(-1)", "left,h", _L, "Move", "What lies further left", slug="left"),
    Action("sideways(1)", "right,l", _L, "Move", "What lies further right", slug="right"),
    Action("page(-1)", "pageup", _L, "Move", "A page up", slug="page-up"),
    Action("page(1)", "pagedown", _L, "Move", "A page down", slug="page-down"),
    Action("move(-99999)", "home,g", _L, "Move", "To the oldest line", slug="first"),
    Action("move(99999)", "end,G", _L, "Move", "To the end, and follow it", slug="last"),
    Action("back", "escape,backspace", _C, "Connection", "Back", "back"),
    Action("connect", "c", _C, "Connection", "Try again now, or look at a new host key", "connect"),
    *_scrolls(_C),
    Action("back", "escape,backspace", _K, "Compare", "Back to the fleet", "back"),
    Action("zoom(-1)", "plus", _K, "Time", "A shorter time", "shorter", slug="zoom-in"),
    Action("zoom(1)", "minus", _K, "Time", "A longer time: up to a day", "longer", slug="zoom-out"),
    Action("pan(-1)", "left,h", _K, "Move", "Back in time", slug="pan-back"),
    Action("pan(1)", "right,l", _K, "Move", "Towards now", slug="pan-on"),
    Action(
        "cross(-1)", "comma", _K, "Time", "Read values at a moment: further back", slug="cross-back"
    ),
    Action(
        "cross(1)", "full_stop", _K, "Time", "Read values at a moment: further on", slug="cross-on"
    ),
    Action("now", "0", _K, "Time", "Back to now"),
    *_scrolls(_K),
    Action("back", "escape,backspace", _V, "Events", "Clear the filter, else back", "back"),
    Action("open", "enter", _V, "Events", "To the device; in a recording, to the moment", "open"),
    Action("filter", "slash", _V, "Events", "Show only events that match", "filter"),
    Action("acknowledge", "a", _V, "Events", "Acknowledge the event", "acknowledge"),
    Action("acknowledge_all", "A", _V, "Events", "Acknowledge all that are shown", "all"),
    Action(
        "silence('device')",
        "s",
        _V,
        "Events",
        "Silence the alert on its device for an hour; again ends it",
        "silence",
        slug="silence",
    ),
    Action(
        "silence('everywhere')",
        "S",
        _V,
        "Events",
        "Silence the alert on every device for an hour; again ends it",
        slug="silence-everywhere",
    ),
    *_steps(_V, "To the newest", "To the oldest"),
    Action("demo", "d", _S, "Start", "Demo: simulated boards through real SSH", "demo"),
    Action("board", "b", _S, "Start", "Connect to a board", "board"),
    Action("find", "f", _S, "Start", "Find boards: USB, local network, hosts of ssh", "find"),
    Action("config", "o", _S, "Start", "Open a configuration", "config"),
    Action("record", "R", _E, "Time", "Record the fleet into a file here; again ends it"),
    Action("play_pause", "p", _E, "Replay", "Play or pause the recording", slug="play-pause"),
    Action("seek(-10)", "left_square_bracket", _E, "Replay", "10 s back", slug="back-10s"),
    Action("seek(10)", "right_square_bracket", _E, "Replay", "10 s on", slug="on-10s"),
    Action("seek(-300)", "left_curly_bracket", _E, "Replay", "5 minutes back", slug="back-5min"),
    Action("seek(300)", "right_curly_bracket", _E, "Replay", "5 minutes on", slug="on-5min"),
    Action("speed(-1)", "less_than_sign", _E, "Replay", "Slower", slug="replay-slower"),
    Action("speed(1)", "greater_than_sign", _E, "Replay", "Faster", slug="replay-faster"),
    Action("next_event", "E", _E, "Replay", "To the next event"),
    Action("command", "colon", _E, "Cohete", "Type a command", "command"),
    Action("save_screenshot", "", _E, "Take away", "Save a picture of the screen (SVG)"),
    Action("next_theme", "T", _E, "View", "Next theme"),
    Action("help", "question_mark,f1", _E, "Cohete", "Keys that work here", "help"),
    Action("quit", "q", _E, "Cohete", "Quit; nothing stays on any board", "quit"),
    Action("quit_now", "ctrl+c,ctrl+q", _E, "Cohete", "Quit from anywhere", priority=True),
)


def bindings(scope: Scope) -> list[Binding]:
    """Textual's bindings for a screen (or, everywhere, for the app)."""
    return [
        Binding(
            action.keys,
            action.name,
            action.label or action.help,
            show=bool(action.label),
            priority=action.priority,
            tooltip=action.help,
            id=action.id,
        )
        for action in ACTIONS
        if action.scope is scope and action.keys
    ]


REPLAY_AREA = "Replay"
"""Actions that work only while a recording is played."""


def in_scope(scope: Scope, *, replay: bool = False) -> list[Action]:
    """What works on a screen: its own actions first, then those that work everywhere."""
    scopes = dict.fromkeys((scope, Scope.EVERYWHERE))
    return [
        action
        for each in scopes
        for action in ACTIONS
        if action.scope is each and (replay or action.area != REPLAY_AREA)
    ]


KEY_NAMES = {"slash": "/", "question_mark": "?", "escape": "esc", "pageup": "pgup",
              "pagedown": "pgdn", "f1": "F1", "colon": ":", "asterisk": "*", "plus": "+",
              "minus": "-", "exclamation_mark": "!", "ctrl+@": "ctrl+space",
              "left_square_bracket": "[", "right_square_bracket": "]", "left_curly_bracket": "{",
              "right_curly_bracket": "}", "less_than_sign": "<", "comma": ",", "full_stop": ".",
              "greater_than_sign": ">"}  # fmt: skip


def key_names(keys: str) -> str:
    """Keys as they stand on a keyboard."""
    return " ".join(KEY_NAMES.get(key, key) for key in keys.split(","))
