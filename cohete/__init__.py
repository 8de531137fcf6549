"""Cohete: watch and drive a fleet of NVIDIA Jetsons over SSH, with nothing installed on them."""

__version__ = "0.1.0"
