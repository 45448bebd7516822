"""How devices speak: one folder a protocol family (a pure codec and a driver), and the bus they share.

A driver knows no store, no member, no MQTT and no SQL: it turns bytes into readings and requests into bytes.
"""
