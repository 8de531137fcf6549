"""YAML as plain data plus where each value stands; hostile documents are refused early.

No aliases, no anchors, no tags but `!static`, no duplicate keys, bounded size and depth. Plain
scalars follow YAML 1.2: only true/false are booleans, 22:22 is text, and so is 1_000.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import yaml

from cohete.errors import ConfigError

MAX_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 24

Scalar = str | int | float | bool | None
Value = Scalar | list["Value"] | dict[str, "Value"]
Position = tuple[int, int]

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]{1,3})?")
_PLAIN_TAGS = (None, "!", "tag:yaml.org,2002:seq", "tag:yaml.org,2002:map")
_SPECIAL = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf"), float("inf")),
    "-.inf": float("-inf"),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}


@dataclass(slots=True)
class Tree:
    """A parsed document: `value`, and by path the position of each value and key."""

    value: Value
    values: dict[tuple[str | int, ...], Position] = field(default_factory=dict)
    keys: dict[tuple[str | int, ...], Position] = field(default_factory=dict)

    def position(self, path: tuple[str | int, ...], *, key: bool = False) -> Position:
        """Line and column (from 1) of the deepest part of `path` that exists."""
        for end in range(len(path), -1, -1):
            found = (self.keys if key else self.values).get(path[:end])
            if found is not None:
                return found
            key = False
        return (1, 1)


def parse_yaml(text: str, path: str) -> Tree:
    """The document in `text`. Raises ConfigError with line and column."""
    try:
        size = len(text.encode("utf-8"))
    except UnicodeEncodeError:
        raise ConfigError("the file is not UTF-8 text", path=path, line=1, column=1) from None
    if size > MAX_BYTES:
        limit = f"{MAX_BYTES // 1024 // 1024} MiB"
        raise ConfigError(f"the file is larger than {limit}", path=path, line=1, column=1)
    try:
        return _Builder(path).build(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise ConfigError(
            f"this is not YAML: {error.problem or error.context}",
            path=path,
            line=mark.line + 1 if mark else 1,
            column=mark.column + 1 if mark else 1,
        ) from None
    except yaml.YAMLError as error:
        first = str(error).splitlines()[0] if str(error) else "unreadable"
        raise ConfigError(f"this is not YAML: {first}", path=path, line=1, column=1) from None


class _Builder:
    def __init__(self, path: str) -> None:
        self._path = path
        self._tree = Tree(None)

    def build(self, text: str) -> Tree:
        events = iter(yaml.parse(text, Loader=LOADER))
        stack: list[_Open] = []
        documents = 0
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise self._error("only one document is allowed in a file", event)
            elif isinstance(event, yaml.AliasEvent):
                raise self._error("aliases (*name) are not allowed; write the value out", event)
            elif isinstance(event, yaml.ScalarEvent):
                self._refuse_anchor(event)
                self._put(stack, self._scalar(event), event)
            elif isinstance(event, yaml.CollectionStartEvent):
                self._refuse_anchor(event)
                self._open(stack, event)
            elif isinstance(event, yaml.CollectionEndEvent):
                stack.pop()
        return self._tree

    def _open(self, stack: list[_Open], event: yaml.CollectionStartEvent) -> None:
        if len(stack) >= MAX_DEPTH:
            raise self._error(f"nested deeper than {MAX_DEPTH} levels", event)
        if stack and stack[-1].expects_key:
            raise self._error("a key must be a plain word", event)
        container: list[Value] | dict[str, Value] = (
            [] if isinstance(event, yaml.SequenceStartEvent) else {}
        )
        outer: Value = container
        inner_step: tuple[str | int, ...] = ()
        if event.tag == "!static" and isinstance(container, list):
            outer, inner_step = {"static": container}, ("static",)
        elif event.tag not in _PLAIN_TAGS:
            raise self._error(f"the tag {event.tag[:40]} is not known here", event)
        path = self._put(stack, outer, event)
        stack.append(_Open(container, path + inner_step))

    def _put(
        self, stack: list[_Open], value: Value, event: yaml.NodeEvent
    ) -> tuple[str | int, ...]:
        at = _position(event)
        if not stack:
            self._tree.value = value
            self._tree.values[()] = at
            return ()
        top = stack[-1]
        if isinstance(top.container, list):
            path = (*top.path, len(top.container))
            top.container.append(value)
        elif top.expects_key:
            if not isinstance(event, yaml.ScalarEvent):
                raise self._error("a key must be a plain word", event)
            key = event.value
            if key in top.container:
                first = self._tree.keys[(*top.path, key)]
                raise self._error(
                    f"the key {key[:64]!r} stands here twice",
                    event,
                    hint=f"The first one is in line {first[0]}.",
                )
            top.key = key
            top.container[key] = None
            self._tree.keys[(*top.path, key)] = at
            return top.path
        else:
            assert top.key is not None
            path = (*top.path, top.key)
            top.container[top.key] = value
            top.key = None
        self._tree.values[path] = at
        return path

    def _scalar(self, event: yaml.ScalarEvent) -> Scalar:
        if event.tag and event.tag not in ("!", "tag:yaml.org,2002:str"):
            raise self._error(f"the tag {event.tag[:40]} is not known here", event)
        text: str = event.value
        if event.style or event.tag:
            return text
        if text in _SPECIAL:
            return _SPECIAL[text]
        if _INT.fullmatch(text):
            return int(text)
        return float(text) if _FLOAT.fullmatch(text) else text

    def _refuse_anchor(self, event: yaml.NodeEvent) -> None:
        if event.anchor is not None:
            raise self._error("anchors (&name) are not allowed; write the value out", event)

    def _error(self, what: str, event: yaml.Event, hint: str = "") -> ConfigError:
        line, column = _position(event)
        return ConfigError(what, path=self._path, line=line, column=column, hint=hint)


def _position(event: yaml.Event) -> Position:
    mark = event.start_mark
    return (mark.line + 1, mark.column + 1) if mark else (1, 1)


@dataclass(slots=True)
class _Open:
    container: list[Value] | dict[str, Value]
    path: tuple[str | int, ...]
    key: str | None = None

    @property
    def expects_key(self) -> bool:
        return isinstance(self.container, dict) and self.key is None
