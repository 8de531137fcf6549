"""Lines of styled text in a titled box, drawn only when they change."""

from __future__ import annotations

from collections.abc import Callable

from textual.geometry import Size
from textual.strip import Strip
from textual.widget import Widget

from cohete_tui.draw import Line
from cohete_tui.widgets.paint import Painter


class LinesPanel(Widget):
    """Shows what `content(cells)` gives; its height follows."""

    DEFAULT_CSS = """
    LinesPanel { height: auto; width: 1fr; border: round $border; padding: 0 1;
        border-title-color: $secondary; }
    LinesPanel.plain { border: none; padding: 0; background: $panel; }
    """

    def __init__(
        self,
        content: Callable[[int], list[Line]],
        *,
        title: str = "",
        id: str | None = None,  # noqa: A002
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._painter = Painter(self)
        self._content = content
        self._lines: list[Line] = []
        self.border_title = title or None

    def update(self) -> None:
        """Ask for the content again; lay out anew only if its height changed."""
        lines = self._content(self.size.width)
        if lines != self._lines:
            taller = len(lines) != len(self._lines)
            self._lines = lines
            self.refresh(layout=taller)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        lines = self._content(width)
        if lines != self._lines:
            self._lines = lines
            # A layout repaints only what moves, and this may stay as high as it was.
            self.refresh()
        return max(1, len(lines))

    def notify_style_update(self) -> None:
        self._painter.clear()
        super().notify_style_update()

    def render_line(self, y: int) -> Strip:
        cells = self.size.width
        if y >= len(self._lines):
            return self._painter.blank(cells)
        return self._painter.strip(self._lines[y], cells)
