"""A process that reads cards and then lays itself open: its log, every object it can reach, all memory it may write.

    python card_child.py PORT FOLDER LEAK

It is told nothing of what lies on the reader, so whatever its parent finds in FOLDER came from the card. LEAK plants a
mistake: it says whether the search would find one. Memory that is freed is never used again here, so that a copy which
was let go cannot be overwritten by luck.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import logging
import os
import sys
from datetime import date
from pathlib import Path

from device_drivers.bus import Bus, Link
from device_drivers.errors import DeviceError
from device_drivers.id_card import IdCardReader, codec, driver, open_private, person
from device_drivers.serial_link import open_serial

READS = 5
CHUNK = bytearray(1 << 16)
KEPT: list[object] = []


class Allocator(ctypes.Structure):
    """PyMemAllocatorEx of the interpreter."""

    _fields_ = [(name, ctypes.c_void_p) for name in ("context", "malloc", "calloc", "realloc", "free")]


def use_no_memory_twice() -> None:
    """Let the interpreter's `free` do nothing: it becomes `abs`, a function of C that touches nothing."""
    nothing = ctypes.cast(ctypes.CDLL(None).abs, ctypes.c_void_p).value
    for domain in range(3):  # raw, mem, obj
        allocator = Allocator()
        ctypes.pythonapi.PyMem_GetAllocator(domain, ctypes.byref(allocator))
        allocator.free = nothing
        ctypes.pythonapi.PyMem_SetAllocator(domain, ctypes.byref(allocator))


class Ears(logging.Handler):
    """Everything that is logged by anybody, and what the records hold."""

    def emit(self, record: logging.LogRecord) -> None:
        SAID.append(f"{record.getMessage()} {record.__dict__!r}")


SAID: list[str] = []


def plant(leak: str) -> None:
    """Break one promise, as a change of the code might."""
    judge, text_block, find = person.judge, person.text_block, codec.FrameFinder.find

    def judge_and_keep(text, **rest):
        KEPT.append(bytes(text))
        return judge(text, **rest)

    def judge_and_decode(text, **rest):
        KEPT.append(bytes(text[:30]).decode("utf-16-le"))
        return judge(text, **rest)

    def judge_and_copy(text, **rest):
        bytes(text)  # let go at once, and still in memory
        return judge(text, **rest)

    def every_other(field):
        return bytearray(field[::2])  # goes through a buffer inside the interpreter

    def complain(data):
        text_block(data)
        raise person.ProtocolError(f"odd card {bytes(data[126:162]).decode('utf-16-le')}")

    def find_and_slice(self):
        content = find(self)
        if content is not None and len(content) > 1000:
            self._buffer[7:9] = memoryview(bytes(self._buffer[7:300]))[:2]  # a slice of a bytearray is a copy
        return content

    def put_by_assignment(self, data):
        taken = min(len(data), len(self._buffer) - self._filled)
        self._buffer[self._filled : self._filled + taken] = data[:taken]  # makes a bytearray of a view first
        self._filled += taken
        return data[taken:]

    def keep(self):
        KEPT.append(self)

    match leak:
        case "impatient":  # no mistake: every card comes when nobody waits for it any more
            driver.READ_TIMEOUT_S = 0.0
        case "keeps":
            driver.person.judge = judge_and_keep
        case "decodes":
            driver.person.judge = judge_and_decode
        case "copies":
            driver.person.judge = judge_and_copy
        case "complains":
            driver.person.text_block = complain
        case "slices":
            codec.FrameFinder.find = find_and_slice
        case "strides":
            person._ascii = every_other
        case "assigns":
            codec.FrameFinder.put = put_by_assignment
        case "does not wipe":
            codec.AnswerDecoder.wipe = keep


async def read_cards(port: str, leak: str, folder: Path) -> None:
    opened: list[Link] = []

    async def link() -> Link:
        opened.append(await (open_serial if leak == "plain port" else open_private)(port, 115200))
        return opened[0]

    bus = Bus(name="card", open_link=link, on_fault=lambda kind, detail: SAID.append(f"{kind} {detail}"))
    owner = asyncio.create_task(bus.run(), name="bus")
    reader = IdCardReader(bus, day_key=lambda: b"a key of one day", today=lambda: date(2026, 11, 22))
    while not bus.counters["opened"]:
        await asyncio.sleep(0)
    for _ in range(READS):
        try:
            SAID.append(f"read {await reader.read()!r}")
        except DeviceError as error:
            SAID.append(f"failed {error!r}")
    SAID.append(f"{reader!r} {reader.__dict__!r} {bus!r} {bus.__dict__!r} {opened!r} {vars(opened[0])!r}")
    # Memory first: to walk the objects makes copies of what they hold. The bus is alive, as in an agent.
    (folder / "memory").touch()
    dump_memory(folder / "memory")
    dump_objects(folder / "objects")
    (folder / "said").write_text("\n".join(SAID))
    owner.cancel()
    await asyncio.gather(owner, return_exceptions=True)


def dump_memory(path: Path) -> None:
    """All mappings that this process may write: heap, stacks, data, anonymous memory."""
    places = [line.split()[0] for line in Path("/proc/self/maps").read_text().splitlines() if " rw" in line]
    memory, out = os.open("/proc/self/mem", os.O_RDONLY), os.open(path, os.O_WRONLY | os.O_TRUNC)
    for place in places:
        start, end = (int(part, 16) for part in place.split("-"))
        while start < end:
            try:
                count = os.preadv(memory, [memoryview(CHUNK)[: min(len(CHUNK), end - start)]], start)
            except OSError:
                break  # a mapping of a device
            if not count:
                break
            os.write(out, memoryview(CHUNK)[:count])
            start += count
    os.close(out)
    os.close(memory)


def dump_objects(path: Path) -> None:
    """The content of everything that the garbage collector or a reference leads to."""
    seen: dict[int, object] = {}
    waiting = [one for one in gc.get_objects() if one is not seen]
    with path.open("wb") as out:
        while waiting:
            one = waiting.pop()
            if id(one) in seen or one is waiting or one is seen:
                continue
            seen[id(one)] = one
            if isinstance(one, bytes | bytearray):
                out.write(one + b"\0")
            elif isinstance(one, memoryview) and one.c_contiguous:
                out.write(bytes(one) + b"\0")
            elif isinstance(one, str):
                out.write(one.encode("utf-8", "replace") + b"\0")
            waiting.extend(gc.get_referents(one))


if __name__ == "__main__":
    logging.basicConfig(level=logging.DEBUG, handlers=[Ears()])
    plant(sys.argv[3])
    use_no_memory_twice()
    asyncio.run(read_cards(sys.argv[1], sys.argv[3], Path(sys.argv[2])), debug=False)
