"""A part of a screen that scrolls; the keys belong to the screen."""

from __future__ import annotations

from textual.containers import VerticalScroll


class Scroll(VerticalScroll, inherit_bindings=False):
    """Textual's, without its own keys: those would scroll before a screen's keys are asked."""
