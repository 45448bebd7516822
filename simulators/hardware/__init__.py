"""Byte-exact devices on real pseudo-terminals, and the shoppers who use them.

A device is a pure object: bytes in, frames out (`Device`). `PtyPort` puts it on a line; `Faults` spoils the line.
"""
