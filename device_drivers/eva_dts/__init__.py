"""Audit files of vending machines (EVA-DTS), and the line (DEX) over which a machine hands them out."""

from device_drivers.eva_dts import totals
from device_drivers.eva_dts.audit import AuditFile, Remark, Segment, audit_of
from device_drivers.eva_dts.driver import read_audit
from device_drivers.eva_dts.parser import parse

__all__ = ["AuditFile", "Remark", "Segment", "audit_of", "parse", "read_audit", "totals"]
