"""Sessions and interlocks: who may open what, what was taken, what it costs, and how every doubt ends truthfully.

`core/` is the pure machine; the shells beside it give it doors, scales, people, money, time and a ledger.
"""
