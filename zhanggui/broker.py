"""The embedded broker: iotcore in a process of its own, MQTT 5, loopback only.

It has no access control, no client certificates and no persistence, so it never listens on a network; anything
beyond one machine takes Mosquitto or a cluster by URL.
"""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import tempfile
import types
from pathlib import Path

from contracts.messages import MAX_MESSAGE_BYTES

LOOPBACK = "127.0.0.1"

_CONFIG = """
id = 0
[router]
id = 0
max_connections = 1024
max_outgoing_packet_count = 200
max_segment_size = 104857600
max_segment_count = 10
[v5.1]
name = "v5-1"
listen = "{host}:{port}"
next_connection_delay_ms = 1
[v5.1.connections]
connection_timeout_ms = 10000
max_payload_size = {max_payload}
max_inflight_count = 200
dynamic_filters = true
"""


def config_text(port: int) -> str:
    """The broker's configuration for MQTT 5 on loopback `port`."""
    return _CONFIG.format(host=LOOPBACK, port=port, max_payload=MAX_MESSAGE_BYTES + 4096)


def main(argv: list[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT. Exit code 2 when the port is taken."""
    parser = argparse.ArgumentParser(prog="python -m zhanggui.broker", description=__doc__)
    parser.add_argument("--port", type=int, default=1883)
    port = parser.parse_args(argv).port

    from iotcore import IotCoreBroker

    logging.getLogger("rumqttd").setLevel(logging.CRITICAL)  # it traces every packet at level ERROR
    logging.basicConfig(level=logging.WARNING)

    def leave(_signal: int, _frame: types.FrameType | None) -> None:
        sys.exit(0)

    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # the broker's threads know no shutdown; nothing is kept, so die
    signal.signal(signal.SIGINT, leave)
    with tempfile.TemporaryDirectory(prefix="zhanggui-broker-") as folder:
        path = Path(folder) / "broker.toml"
        path.write_text(config_text(port))
        broker = IotCoreBroker(config_path=str(path))
        try:
            broker.check_ports()
        except OSError:
            print(f"port {port} on {LOOPBACK} is in use: stop what listens there, or choose another", file=sys.stderr)
            return 2
    broker.run_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
