"""The front door: the command line, and the composition of a demo store. No logic lives here."""

__version__ = "0.1.0"
