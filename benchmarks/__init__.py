"""Figures that anyone can repeat: `python -m benchmarks.NAME` prints a table, `--json` the same for machines.

Ratios within one run decide; absolute figures are reported with the machine they were seen on.
"""
