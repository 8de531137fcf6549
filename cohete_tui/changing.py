"""Changes as lines of text: what would run, what it may cost, what came of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cohete.control.change import Change
from cohete.control.outcome import Outcome, Result
from cohete.errors import CoheteError
from cohete_tui.draw import Line, fit, wrap

Looked = Mapping[str, Change | CoheteError]
"""What an action means on each device, or why it means nothing there."""

_LONG = 400
"""Lines: what is agreed to is shown in full, and scrolls."""

OUTCOME_STYLES = {
    Outcome.ALREADY: "dim",
    Outcome.DONE: "good",
    Outcome.REBOOT_NEEDED: "warn",
    Outcome.UNDONE: "warn",
    Outcome.UNCHANGED: "danger",
    Outcome.REFUSED: "danger",
    Outcome.UNREACHED: "danger",
    Outcome.FAILED: "danger",
    Outcome.UNKNOWN: "danger",
    Outcome.INTERRUPTED: "danger",
}


def to_do(looked: Looked) -> dict[str, Change]:
    """The devices on which something would run."""
    return {
        name: change for name, change in looked.items()
        if not isinstance(change, CoheteError) and not change.is_done
    }  # fmt: skip


def change_lines(looked: Looked, cells: int) -> list[Line]:
    """What would run: devices with the same commands together, then those that are left alone."""
    lines: list[Line] = []
    groups: dict[tuple[str, ...], list[Change]] = {}
    for change in to_do(looked).values():
        groups.setdefault((change.before, *change.lines), []).append(change)
    for changes in groups.values():
        if lines:
            lines.append([])
        lines += _group(changes, cells)
    done = [name for name, each in looked.items() if _is_done(each)]
    if done:
        lines += [[], *_words(f"already so: {', '.join(done)}", cells, "dim")]
    for name, each in looked.items():
        if isinstance(each, CoheteError):
            words = f"{each.what}. {each.hint}" if each.hint else each.what
            lines += [[], *_words(f"{name}: {words}", cells, "danger")]
    return lines


def _group(changes: Sequence[Change], cells: int) -> list[Line]:
    first = changes[0]
    names = ", ".join(change.device for change in changes)
    lines: list[Line] = [[(text, "title")] for text in wrap(names, cells, _LONG)]
    lines.append([(fit(f"{first.before or 'unknown'} → {first.after}", cells), "")])
    lines += [
        [(text, "accent")] for step in first.steps for text in wrap(f"$ {step.line}", cells, _LONG)
    ]
    if first.reboot_steps:
        lines += _words("and only where it asks for a reboot, and you agreed to one:", cells, "dim")
        steps = (*first.reboot_steps, *first.after_reboot, *first.undrain)
        lines += [
            [(text, "accent")] for step in steps for text in wrap(f"$ {step.line}", cells, _LONG)
        ]
    for note in first.notes:
        lines += _words(note, cells, "warn" if "reboot" in note else "")
    return [*lines, *_words(first.undo_words, cells, "dim")]


def _words(text: str, cells: int, style: str) -> list[Line]:
    return [[(part, style)] for part in wrap(text, cells, 6)]


def _is_done(each: Change | CoheteError) -> bool:
    return not isinstance(each, CoheteError) and each.is_done


def result_line(name: str, result: Result | None, doing: str, waiting: str, cells: int) -> Line:
    """One device of a change that runs: waiting, what it does now, or what came of it."""
    head = (fit(name, 18), "title" if result is None and doing else "")
    room = max(4, cells - 19)
    if result is None:
        text, style = (f"{doing} …", "accent") if doing else (waiting, "dim")
        return [head, (" ", ""), (fit(text, room), style)]
    words = result.words or result.found
    text = f"{result.outcome}: {words}" if words else str(result.outcome)
    return [head, (" ", ""), (fit(text, room), OUTCOME_STYLES[result.outcome])]
