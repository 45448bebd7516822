"""Readers of resident identity cards (SAM). Nothing but "adult", "valid" and a pseudonym of two days ever leaves."""

from device_drivers.id_card.driver import IdCardReader
from device_drivers.id_card.private_link import open_private, private

__all__ = ["IdCardReader", "open_private", "private"]
