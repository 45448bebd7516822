"""Devices under supervision: who owns which port, and how each device fares."""
