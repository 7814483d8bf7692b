"""Portico: give what lives in a notebook a live URL."""

from portico.version import __version__

__all__ = ["__version__"]
