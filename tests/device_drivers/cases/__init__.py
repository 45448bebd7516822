"""One module a family: `DRIVERS` (DriverCase) and `CODECS` (CodecCase), which tests/device_drivers/test_conformance.py runs.

The devices here are written from the tables of the protocols, never with the family's own codec.
"""
