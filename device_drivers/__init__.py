"""How devices speak: one folder a protocol family (a pure codec and a driver), and the bus they share.

A driver knows no store, no member, no MQTT and no SQL: it turns bytes into readings and requests into bytes.

Each family has its folder: `codec` (pure), `driver`, `family` (what all tools know it by), `quality.toml` (what proves
it). `docs/families/README.md` lists them.

`bus.Bus` owns one port, `link_url.open_link` opens it by its address, `capabilities` is what services ask for, `errors`
are typed by who must act, `trace` and `looking` are for people with a cable. Nothing is imported here, so that a family
costs only those who use it.
"""
