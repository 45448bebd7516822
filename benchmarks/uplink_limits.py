"""What stands beside the uplink in every run: plain sqlite3, the bare broker, and one message an event with paho."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

import aiomqtt
import msgspec
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.sales import sale_events
from benchmarks.stand import BenchmarkError, running, wait_for
from contracts.envelope import Stamp, encode_event, next_hash, root_hash
from contracts.messages import Batch, encode_message

GROUP_ROWS = 500
EVENTS_A_BATCH = 512
RAW_TOPIC, PEER_TOPIC = "benchmark/raw", "benchmark/peer"
IN_FLIGHT = 1000
PEER_WITHIN_S = 300.0
STREAM = "00000000-0000-4000-8000-00000000beef"
_STAMP = Stamp("2026-03-02T01:00:00.000Z", "b" * 36, 123_456_789_012, "synced")


def raw_events(count: int, seed: int = 7) -> Iterator[bytes]:
    """The bytes of `count` events of sales."""
    for seq, data in enumerate(islice(sale_events(Random(seed)), count), 1):
        yield encode_event(data, stream=STREAM, seq=seq, source="/bench/s001/S1", stamp=_STAMP)


def insert(path: Path, raws: Sequence[bytes], rows_a_commit: int) -> float:
    """Rows a second of plain sqlite3, as durable as the ledger: WAL, every commit synced."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("CREATE TABLE IF NOT EXISTS event (seq INTEGER PRIMARY KEY, raw BLOB NOT NULL)")
        began_s = time.perf_counter()
        for start in range(0, len(raws), rows_a_commit):
            connection.execute("BEGIN IMMEDIATE")
            rows = ((raw,) for raw in raws[start : start + rows_a_commit])
            connection.executemany("INSERT INTO event (raw) VALUES (?)", rows)
            connection.execute("COMMIT")
        return len(raws) / (time.perf_counter() - began_s)


def batches_of(raws: Sequence[bytes]) -> list[Batch]:
    """What an uplink would send of these events."""
    found, digest = [], root_hash(STREAM)
    for start in range(0, len(raws), EVENTS_A_BATCH):
        part, before = raws[start : start + EVENTS_A_BATCH], digest
        for raw in part:
            digest = next_hash(digest, raw)
        found.append(
            Batch(
                stream=STREAM,
                nonce="0" * 36,
                first_seq=start + 1,
                prev_hash=before.hex(),
                events=[msgspec.Raw(raw) for raw in part],
                last_hash=digest.hex(),
            )
        )
    return found


async def send_raw(url: str, batches: Sequence[Batch]) -> float:
    """Events a second over the bare broker: each batch encoded and published as the uplink does, then thrown away."""
    parts = urlsplit(url)
    assert parts.hostname
    address = {"hostname": parts.hostname, "port": parts.port or 1883}
    v5 = aiomqtt.ProtocolVersion.V5
    async with (
        aiomqtt.Client(**address, protocol=v5) as receiver,  # type: ignore[arg-type]  # a host and a port
        aiomqtt.Client(**address, protocol=v5) as sender,  # type: ignore[arg-type]  # a host and a port
    ):
        await receiver.subscribe(RAW_TOPIC, qos=1)

        async def receive() -> None:
            left = len(batches)
            async for _ in receiver.messages:
                left -= 1
                if not left:
                    return

        began_s = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            group.create_task(receive(), name="receiver")
            for batch in batches:
                payload, _ = encode_message(batch)
                await sender.publish(RAW_TOPIC, payload, qos=1)
        return sum(len(batch.events) for batch in batches) / (time.perf_counter() - began_s)


# ------------------------------------------------------------------ one message an event, with paho


def peer(url: str, raws: Sequence[bytes], folder: Path) -> float:
    """Events a second of a plain gateway: each event a message of its own at QoS 1, and a subscriber in a process of
    its own that writes them into a table, 500 rows a commit. Raises BenchmarkError when they do not arrive."""
    log, done = folder / "peer.log", folder / "peer.done"
    command = [
        sys.executable,
        "-m",
        "benchmarks.uplink_limits",
        url,
        str(folder / "peer.db"),
        str(len(raws)),
        str(done),
    ]
    with running(command, log=log) as process:
        wait_for("the peer", lambda: "ready" in log.read_text(), process=process, log=log, within_s=30)
        client = _client(url)
        client.loop_start()
        try:
            began_s = time.monotonic()
            for raw in raws:
                client.publish(PEER_TOPIC, raw, qos=1)
            while not done.exists():
                if process.poll() is not None or time.monotonic() - began_s > PEER_WITHIN_S:
                    raise BenchmarkError(f"the peer did not get everything:\n{log.read_text()[-2000:]}")
                time.sleep(0.005)
        finally:
            client.disconnect()
            client.loop_stop()
        ended_s = float(done.read_text())
    return len(raws) / (ended_s - began_s)


def _client(url: str) -> paho.Client:
    parts = urlsplit(url)
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    client.max_inflight_messages_set(IN_FLIGHT)
    client.max_queued_messages_set(0)
    client.connect(parts.hostname or "", parts.port or 1883)
    return client


def subscribe(url: str, path: Path, count: int, done: Path) -> None:
    """The peer's other end: rows into a table until `count` are committed; then the time into `done`."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE event (seq INTEGER PRIMARY KEY, raw BLOB NOT NULL)")
    client, held = _client(url), 0
    connection.execute("BEGIN")

    def take(_client: paho.Client, _userdata: object, message: paho.MQTTMessage) -> None:
        nonlocal held
        connection.execute("INSERT INTO event (raw) VALUES (?)", (message.payload,))
        held += 1
        if held % GROUP_ROWS == 0 or held == count:
            connection.execute("COMMIT")
            connection.execute("BEGIN")
        if held == count:
            client.disconnect()

    client.on_message = take
    client.on_subscribe = lambda *_: print("ready", flush=True)
    client.subscribe(PEER_TOPIC, qos=1)
    client.loop_forever()
    ended_s = time.monotonic()
    beside = done.with_suffix(".part")
    beside.write_text(str(ended_s))
    beside.rename(done)
    connection.close()


if __name__ == "__main__":
    subscribe(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
