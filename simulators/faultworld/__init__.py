"""A whole company in one process and in virtual time: real edges, real bridges, and everything else that can fail.

The ledger, the uplink, the bridge and their SQLite files are the real ones. Time, network, broker, disks, machines
and the people who restore or clone disks are simulated, by seed: the same schedule always gives the same run.
Beside the run stands the truth of what was accepted, kept outside of the code under test; after every step it is
compared with what the cloud holds.
"""
