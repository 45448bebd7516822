"""How devices speak: one folder a protocol family (a pure codec and a driver), and the bus they share.

A driver knows no store, no member, no MQTT and no SQL: it turns bytes into readings and requests into bytes.

| family | driver | implements |
|---|---|---|
| `lock_8a`, `lock_cu16`, `lock_cu48`, `lock_winnsen` | a `lock_board.LockBoard` on a `Bus` | `Lock` |
| `modbus_rtu` | `WeightTransmitter` on a `Bus` | `Scale` |
| `id_card` | `IdCardReader` on a `Bus` | `AdultProof` |
| `scanner` | `SerialScanner` on a port of its own | `CodeReader` |

`bus.Bus` owns one port, `serial_link.open_serial` opens it, `capabilities` is what services ask for, `errors` are
typed by who must act. Nothing is imported here, so that a family costs only those who use it.
"""
