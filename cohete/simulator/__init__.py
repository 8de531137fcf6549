"""Jetsons that do not exist: boards with physics, behind a real SSH server."""
