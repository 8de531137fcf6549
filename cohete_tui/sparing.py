"""Textual, sparing with bytes and with memory.

Sends a terminal as little as shows the same: what changed, and styles where they change.

Textual 8 sends a changed part of a line from the line's beginning, and every style in full with a
reset behind it. On a link of some kilobytes a second that is most of what is sent.
"""

from __future__ import annotations

from functools import lru_cache

from rich.color import ColorSystem
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual._compositor import ChopsUpdate, Compositor, LayoutUpdate
from textual._styles_cache import StylesCache
from textual.color import Color
from textual.screen import Screen, ScreenResultType
from textual.style import Style as ContentStyle

_RESET = "\x1b[0m"
FORGET_S = 60.0


def _keep_no_widget_for_its_colours() -> None:
    """Textual 8 remembers two styles by widget and colours, and with them 1,024 closed widgets and
    all they ever drew: some hundred megabytes. By colours alone the answer is the same."""
    work_out = getattr(StylesCache.get_inner_outer, "__wrapped__", None)
    if work_out is None:
        return

    @lru_cache(maxsize=1024)
    def by_colours(base: Color, background: Color) -> tuple[ContentStyle, ContentStyle]:
        inner, outer = work_out(StylesCache, base, background)
        return inner, outer

    def get_inner_outer(
        cache: StylesCache, base: Color, background: Color
    ) -> tuple[ContentStyle, ContentStyle]:
        return by_colours(base, background)

    StylesCache.get_inner_outer = get_inner_outer  # type: ignore[method-assign,assignment]


_keep_no_widget_for_its_colours()


class Pen:
    """Writes styled text one piece after the other; says of a style only what is different."""

    def __init__(self, colours: ColorSystem) -> None:
        self._colours = colours
        self._out: list[str] = [_RESET]
        self._drawn = ("", "", "")

    @property
    def text(self) -> str:
        """Everything so far, and the terminal's own style behind it."""
        return "".join([*self._out, _RESET])

    def move(self, x: int, y: int) -> None:
        """Go on at this cell; both count from 0."""
        self._out.append(f"\x1b[{y + 1};{x + 1}H")

    def put(self, segment: Segment) -> None:
        """Text in its style, where the pen is."""
        text, style, _ = segment
        if style is not None and style.link:
            self._out.append(_RESET + style.render(text, color_system=self._colours))
            self._drawn = ("", "", "")
            return
        if style is not None and style.link_id:
            # Textual marks each piece of text with its place; looks are the same anywhere.
            style = style.clear_meta_and_links()
        wanted = ("", "", "") if style is None else _codes(style, self._colours)
        if wanted != self._drawn:
            _, colour, ground = wanted
            attributes_before, colour_before, ground_before = self._drawn
            ends = (colour_before and not colour) or (ground_before and not ground)
            if wanted[0] != attributes_before or ends:
                codes = ["0", *wanted]
            else:
                codes = [colour if colour != colour_before else "",
                         ground if ground != ground_before else ""]  # fmt: skip
            self._out.append(f"\x1b[{';'.join(filter(None, codes))}m")
            self._drawn = wanted
        self._out.append(text)


@lru_cache(maxsize=4096)
def _codes(style: Style, colours: ColorSystem) -> tuple[str, str, str]:
    """Attributes, colour and background of a style as the numbers a terminal takes."""
    plain = style.without_color.render("x", color_system=colours)
    attributes = plain[2 : plain.index("m")] if plain.startswith("\x1b[") else ""
    colour, ground = style.color, style.bgcolor
    return (
        attributes,
        ";".join(colour.downgrade(colours).get_ansi_codes()) if colour else "",
        ";".join(ground.downgrade(colours).get_ansi_codes(foreground=False)) if ground else "",
    )


def _pen(console: Console) -> Pen:
    names = {"standard": ColorSystem.STANDARD, "256": ColorSystem.EIGHT_BIT}
    return Pen(names.get(console.color_system or "", ColorSystem.TRUECOLOR))


def forget_cut_segments() -> None:
    """Rich keeps 16,384 segments it has cut, with what came of them, some 12 MB: on a live screen
    nearly all of them are numbers of a moment ago."""
    # It has no public way; a Rich without it keeps none.
    clear = getattr(getattr(Segment, "_split_cells", None), "cache_clear", None)
    if clear is not None:
        clear()


class SparingChops(ChopsUpdate):
    """Parts of lines."""

    def render_segments(self, console: Console) -> str:
        pen = _pen(console)
        for y, begin, end in self.spans:
            pieces = zip(self.chops[y].items(), self.chop_ends[y], strict=False)
            for (at, strip), stop in pieces:
                if strip is None or at >= end or stop <= begin:
                    continue
                first = max(at, begin)
                pen.move(first, y)
                for segment in strip.crop(first - at, min(stop, end) - at):
                    pen.put(segment)
        return pen.text


class SparingLayout(LayoutUpdate):
    """The whole screen."""

    def render_segments(self, console: Console) -> str:
        pen = _pen(console)
        for y, line in enumerate(self.strips, self.region.y):
            pen.move(self.region.x, y)
            for strip in line:
                for segment in strip:
                    pen.put(segment)
        return pen.text


class SparingCompositor(Compositor):
    """Textual's compositor with updates that say less."""

    def render_full_update(self, simplify: bool = False) -> LayoutUpdate:
        update = super().render_full_update(simplify=simplify)
        return SparingLayout(update.strips, update.region)

    def render_partial_update(self) -> ChopsUpdate | None:
        update = super().render_partial_update()
        return update and SparingChops(update.chops, update.spans, update.chop_ends)


class SparingScreen(Screen[ScreenResultType]):
    """A screen for a terminal at the other end of a link."""

    def __init__(self) -> None:
        super().__init__()
        self._compositor = SparingCompositor()
