"""Readers of resident identity cards (SAM). Nothing but "adult", "valid" and a pseudonym of two days ever leaves."""

from device_drivers.id_card.driver import IdCardReader

__all__ = ["IdCardReader"]
