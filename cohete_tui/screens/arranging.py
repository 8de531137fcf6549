"""Which devices the fleet screen shows, in what order, and which are marked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import on
from textual.widgets import Static

from cohete_tui.ordering import FleetOrder, Group
from cohete_tui.screens.base import DeviceActions
from cohete_tui.widgets.canvas import FleetCanvas
from cohete_tui.widgets.prompt import Prompt
from cohete_tui.widgets.status import FleetHeader

if TYPE_CHECKING:
    from cohete.fleet.state import Device
    from cohete.fleet.store import FleetStore

NO_MATCH = "No device matches. Press esc to clear the filter."
NO_FAULTS = "Nothing needs you. Press z to see every device."


class ArrangedScreen(DeviceActions[None]):
    """Filter, order, groups and marks over a canvas of devices."""

    def __init__(self, store: FleetStore) -> None:
        super().__init__()
        self.store = store
        self.order = FleetOrder(store)

    @property
    def canvas(self) -> FleetCanvas:
        """The widget that draws the devices."""
        return self.query_one("#canvas", FleetCanvas)

    @property
    def chosen(self) -> list[Device]:
        return list(self.canvas.chosen)

    def redraw(self) -> None:
        """The rows are others, or lie in other places."""
        self.set_class(not self.order.rows, "-nothing")
        if not self.order.rows:
            text = NO_FAULTS if self.order.faults_only else NO_MATCH
            self.query_one("#message", Static).update(text)
        self.canvas.rearrange()
        self.query_one(FleetHeader).update()

    def reorder(self) -> None:
        """A person changed what is shown, or its order."""
        self.order.update(force=True)
        self.redraw()

    # Actions, in the order of the registry.

    def action_filter(self) -> None:
        box = self.query_one("#filter", Prompt)
        box.add_class("open")
        box.focus()

    def action_faults(self) -> None:
        self.order.faults_only = not self.order.faults_only
        self.reorder()

    def action_next_grouping(self) -> None:
        self.order.next_grouping()
        self.redraw()

    def action_fold_all(self) -> None:
        groups = [row for row in self.order.rows if isinstance(row, Group)]
        folded = not all(group.folded for group in groups)
        for group in groups:
            self.order.fold(group, folded=folded)
        self.redraw()

    def _fold(self, group: Group, *, folded: bool) -> None:
        self.order.fold(group, folded=folded)
        self.redraw()

    def action_next_sort(self) -> None:
        self.order.next_sort()
        self.redraw()

    def action_previous_sort(self) -> None:
        self.order.next_sort(-1)
        self.redraw()

    def action_reverse(self) -> None:
        self.order.reverse = not self.order.reverse
        self.reorder()

    def action_clear(self) -> None:
        if self.canvas.marks.of(self.store):
            self.canvas.marks.clear()
            self.marks_changed()
            return
        self.query_one("#filter", Prompt).value = ""
        self.order.faults_only = False
        self.reorder()
        self.close_filter()

    def action_mark(self) -> None:
        row = self.canvas.current_row
        if row is None:
            return
        self.canvas.marks.toggle(row.devices if isinstance(row, Group) else (row,))
        self.marks_changed()
        self.canvas.move_to(self.canvas.cursor + 1)

    def action_mark_range(self) -> None:
        device = self.canvas.current
        if device is not None:
            self.canvas.marks.extend(self.order.devices, device)
            self.marks_changed()

    def action_invert_marks(self) -> None:
        self.canvas.marks.invert(self.order.matching)
        self.marks_changed()

    def marks_changed(self) -> None:
        """Draw what the marks change."""
        self.canvas.redraw_marks()
        self.query_one(FleetHeader).update()

    @on(Prompt.Changed, "#filter")
    def _filter_changed(self, event: Prompt.Changed) -> None:
        self._filter_by(event.value)

    def _filter_by(self, text: str) -> None:
        problem = self.order.set_filter(text)
        self.set_class(problem is not None, "-problem")
        self.query_one("#problem", Static).update(str(problem or ""))
        self.redraw()

    @on(Prompt.Kept, "#filter")
    def _filter_kept(self) -> None:
        self.close_filter()

    @on(Prompt.Dropped, "#filter")
    def _filter_dropped(self, event: Prompt.Dropped) -> None:
        self._filter_by("")
        event.prompt.value = ""
        self.close_filter()

    def close_filter(self) -> None:
        """Back from typing to the devices; the terms that mean something stay."""
        box = self.query_one("#filter", Prompt)
        box.remove_class("open")
        if self.has_class("-problem"):
            box.value = self.order.query.text
        self.set_focus(self.canvas)

    @on(FleetCanvas.HeadingClicked)
    def _heading_clicked(self, event: FleetCanvas.HeadingClicked) -> None:
        self.order.sort_by(event.sort)
        self.redraw()
