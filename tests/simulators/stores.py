"""A small store for the tests of the simulators: two snack cabinets on one lock line, one tobacco cabinet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edge.config import StoreConfig, problems


def store(folder: Path, **changes: Any) -> StoreConfig:
    def serial(name: str) -> str:
        return f"serial://{folder}/{name}"

    description: dict[str, Any] = {
        "tenant": "t1",
        "store": "s1",
        "name_zh": "样店",
        "name_en": "Sample",
        "data_dir": folder / "data",
        "member_key_file": folder / "key",
        "cloud": {"url": "mqtt://127.0.0.1:1"},
        "bus": [
            {"id": "lock-bus", "url": serial("locks"), "protocol": "lock_8a"},
            {"id": "scale-bus", "url": serial("scales"), "protocol": "modbus_rtu"},
            {"id": "scan-a", "url": serial("scan-a"), "protocol": "scanner"},
            {"id": "scan-b", "url": serial("scan-b"), "protocol": "scanner"},
            {"id": "card-bus", "url": serial("card"), "protocol": "id_card"},
        ],
        "device": [
            {
                "kind": "lock_board",
                "id": "board-1",
                "bus": "lock-bus",
                "address": 1,
                "feedback_polarity": "locked_short",
            },
            {"kind": "lock_board", "id": "board-2", "bus": "lock-bus", "address": 2, "feedback_polarity": "open_short"},
            {"kind": "scale", "id": "scale-1", "bus": "scale-bus", "address": 1},
            {"kind": "scale", "id": "scale-2", "bus": "scale-bus", "address": 2},
            {"kind": "scale", "id": "scale-3", "bus": "scale-bus", "address": 3},
            {"kind": "scale", "id": "scale-idle", "bus": "scale-bus", "address": 9},
            {"kind": "scanner", "id": "scanner-a", "bus": "scan-a", "cabinet": "snacks-a"},
            {"kind": "scanner", "id": "scanner-b", "bus": "scan-b", "cabinet": "snacks-b"},
            {"kind": "id_card", "id": "reader-1", "bus": "card-bus", "cabinet": "tobacco"},
            {"kind": "camera", "id": "entrance", "source": "sim://entrance"},
        ],
        "product": [
            product("crisps", 45.0, 0.3),
            product("nuts", 120.0, 0.5),
            product("water", 520.0, 1.0, "drink"),
            product("smoke", 22.0, 0.2, "tobacco"),
        ],
        "cabinet": [
            cabinet("snacks-a", "self_service", ("a1", "board-1", 1, [("shelf-a1", "scale-1", ["crisps", "nuts"])])),
            cabinet("snacks-b", "self_service", ("b1", "board-1", 2, [("shelf-b1", "scale-2", ["water"])])),
            cabinet("tobacco", "staff_release", ("t1", "board-2", 1, [("shelf-t1", "scale-3", ["smoke"])])),
        ],
    }
    config = StoreConfig.model_validate(description | changes)
    assert not list(problems(config))
    return config


def product(sku: str, grams: float, sigma_g: float, category: str = "snack") -> dict[str, Any]:
    return {
        "sku": sku,
        "name_zh": sku,
        "name_en": sku,
        "price_fen": 500,
        "unit_weight_g": grams,
        "sigma_g": sigma_g,
        "category": category,
    }


def cabinet(
    name: str, mode: str, *compartments: tuple[str, str, int, list[tuple[str, str, list[str]]]]
) -> dict[str, Any]:
    return {
        "id": name,
        "name_zh": name,
        "name_en": name,
        "mode": mode,
        "compartment": [
            {
                "id": compartment,
                "lock": lock,
                "channel": channel,
                "shelf": [
                    {"id": shelf, "scale": scale, "stock": [{"sku": sku, "units": 20, "capacity": 30} for sku in skus]}
                    for shelf, scale, skus in shelves
                ],
            }
            for compartment, lock, channel, shelves in compartments
        ],
    }
