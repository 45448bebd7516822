"""Displays that face the customer: eight digits with a lamp (LED8), or two lines of twenty columns (CD5220)."""

from device_drivers.customer_display.driver import Cd5220Display, CustomerDisplay, Led8Display

__all__ = ["Cd5220Display", "CustomerDisplay", "Led8Display"]
