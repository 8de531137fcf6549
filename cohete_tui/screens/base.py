"""What screens have in common: the application, and what is done with a device on any of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import on
from textual.screen import ScreenResultType
from textual.widget import Widget

from cohete_tui.sparing import SparingScreen
from cohete_tui.widgets.prompt import Prompt

if TYPE_CHECKING:
    from cohete.fleet.state import Device
    from cohete_tui.app import CoheteApp


class CoheteScreen(SparingScreen[ScreenResultType]):
    """A screen of the dashboard."""

    @property
    def _app(self) -> CoheteApp:
        from cohete_tui.app import CoheteApp

        assert isinstance(self.app, CoheteApp)
        return self.app


class DeviceActions(CoheteScreen[ScreenResultType]):
    """A screen on which a device can be chosen."""

    @property
    def subject(self) -> Device | None:
        """The device that is looked at."""
        raise NotImplementedError

    @property
    def chosen(self) -> list[Device]:
        """The devices that a change is meant for: those that are marked, else the subject."""
        return [self.subject] if self.subject is not None else []

    def action_power(self) -> None:
        from cohete_tui.screens.power import PowerScreen

        if self.chosen:
            names = [device.id for device in self.chosen]
            self.app.push_screen(PowerScreen(self._app.store_now, names))

    def action_quantize(self) -> None:
        self._app.show_wizard([device.id for device in self.chosen])

    def action_setup(self) -> None:
        if self.subject is not None:
            self._app.set_up(self.subject.id)

    def action_audit(self) -> None:
        self._app.show_audit()

    def action_events(self) -> None:
        self._app.show_events()

    def action_shell(self) -> None:
        if self.subject is not None:
            self._app.open_shell(self.subject)

    def action_activity(self) -> None:
        from cohete_tui.screens.activity import ActivityScreen

        if self.subject is not None:
            self.app.push_screen(ActivityScreen(self.subject.id))

    def action_log(self) -> None:
        from cohete_tui.screens.log import LogScreen

        if self.subject is not None:
            self.app.push_screen(LogScreen(self.subject.id))

    def action_connection(self) -> None:
        from cohete_tui.screens.connection import ConnectionScreen

        if self.subject is not None:
            self.app.push_screen(ConnectionScreen(self.subject.id))


class FilteredScreen(CoheteScreen[ScreenResultType]):
    """A screen with a list and, at its foot, a line to filter or search it."""

    def __init__(self) -> None:
        super().__init__()
        self.words = ""

    @property
    def list_widget(self) -> Widget:
        """What has the keys while nothing is typed."""
        raise NotImplementedError

    def words_changed(self) -> None:
        """Other words are asked for."""
        raise NotImplementedError

    def clear_words(self) -> bool:
        """No words any more; False where there were none."""
        if not self.words:
            return False
        self.query_one("#filter", Prompt).value = ""
        self.words = ""
        self.words_changed()
        return True

    def action_filter(self) -> None:
        box = self.query_one("#filter", Prompt)
        box.add_class("open")
        box.focus()

    @on(Prompt.Changed, "#filter")
    def _filter_changed(self, event: Prompt.Changed) -> None:
        self.words = event.value.strip()
        self.words_changed()

    @on(Prompt.Kept, "#filter")
    def _filter_kept(self) -> None:
        self._close_filter()

    @on(Prompt.Dropped, "#filter")
    def _filter_dropped(self, event: Prompt.Dropped) -> None:
        event.prompt.value = ""
        self._close_filter()

    def _close_filter(self) -> None:
        self.query_one("#filter").remove_class("open")
        self.set_focus(self.list_widget)
