"""Receipt printers and the cash drawers behind them (ESC/POS): a receipt at most once, and an honest word about it."""

from device_drivers.escpos.document import (
    Columns,
    Cut,
    Feed,
    Promotion,
    PromotionError,
    Qr,
    Receipt,
    ReceiptError,
    Rule,
    Text,
)
from device_drivers.escpos.driver import DrawerReply, JobReply, ReceiptPrinter
from device_drivers.escpos.status import PrinterStatus

__all__ = [
    "Columns",
    "Cut",
    "DrawerReply",
    "Feed",
    "JobReply",
    "PrinterStatus",
    "Promotion",
    "PromotionError",
    "Qr",
    "Receipt",
    "ReceiptError",
    "ReceiptPrinter",
    "Rule",
    "Text",
]
