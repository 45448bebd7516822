"""What travels between a store and the cloud: events, batches, messages, topics. Pure values, no I/O.

The lowest floor of the house: every other room may import from here, and this room imports from none.
"""
