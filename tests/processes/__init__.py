"""The whole chain as real processes: stores, a bad network, Mosquitto, bridges and a database, killed at random.

`python -m tests.processes.run --seconds 60 --seed 7` is one run; the tests here are runs with fixed seeds.
"""
