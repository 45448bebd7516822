"""What is missing before a store can open: everything the agent would refuse at start, told at once, with the fix."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from importlib.util import find_spec
from itertools import combinations_with_replacement
from pathlib import Path

from contracts.clock import Clock, SystemClock
from device_drivers.camera.login_file import read_login
from device_drivers.errors import MisconfiguredError
from edge.config import (
    CameraConfig,
    ClimateConfig,
    ConfigError,
    FridgeConfig,
    RelayInputsConfig,
    RfidConfig,
    ScaleConfig,
    StoreConfig,
    load_store,
    missing_ports,
    profile_of,
)
from edge.keys import read_member_key
from edge.sessions.core.inputs import ShelfSpec
from edge.sessions.core.settlement import Unique, solve
from edge.sessions.policy import Policy, load_policy
from edge.sessions.spec import cabinet_spec
from models import ModelError
from models import verify as verify_model

MIN_FREE_BYTES = 256 * 1024 * 1024
LICENCE_WARN = timedelta(days=30)
TRIED_ITEMS = 4


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `found` says what is there, or what to do."""

    what: str
    ok: bool
    found: str


def check_store(path: Path, clock: Clock | None = None) -> list[Finding]:
    """All findings about the store described at `path`. Opens no port and changes nothing."""
    try:
        config = load_store(path)
    except ConfigError as error:
        return [Finding("store description", ok=False, found=line) for line in str(error).splitlines()]
    cabinets = len(config.cabinet)
    findings = [
        Finding("store description", ok=True, found=f"{path}: {cabinets} cabinets, {len(config.device)} devices")
    ]
    findings += _ports(config)
    findings += _data_dir(config)
    findings += _keys(config)
    findings += _policy(config, clock or SystemClock())
    findings += _shelves(config)
    findings += _people(config)
    findings += _cameras(config)
    findings += _devices(config)
    return findings


def _ports(config: StoreConfig) -> Iterator[Finding]:
    missing = dict(missing_ports(config))
    for bus in config.bus:
        key = f"bus.{bus.id}.url"
        yield Finding(f"port of bus {bus.id}", ok=key not in missing, found=missing.get(key, bus.port or bus.url))


def _data_dir(config: StoreConfig) -> Iterator[Finding]:
    folder = config.data_dir
    at = folder if folder.exists() else folder.parent
    if not (at.is_dir() and os.access(at, os.W_OK)):
        yield Finding("data folder", ok=False, found=f"{folder}: not writable; make it, owned by the agent's user")
        return
    free_bytes = shutil.disk_usage(at).free
    enough = free_bytes >= MIN_FREE_BYTES
    advice = "" if enough else f"; free at least {MIN_FREE_BYTES // 2**20} MiB"
    yield Finding("data folder", ok=enough, found=f"{folder}: {free_bytes // 2**20} MiB free{advice}")


def _keys(config: StoreConfig) -> Iterator[Finding]:
    try:
        read_member_key(config.member_key_file)
    except ConfigError as error:
        yield Finding("member key", ok=False, found=str(error))
    else:
        yield Finding("member key", ok=True, found=str(config.member_key_file))


def _policy(config: StoreConfig, clock: Clock) -> Iterator[Finding]:
    try:
        policy = load_policy(config.policy)
    except ConfigError as error:
        yield Finding("policy", ok=False, found=str(error))
        return
    yield Finding("policy", ok=True, found=f"version {policy.version}")
    if any(product.category == "tobacco" for product in config.product):
        yield _licence(policy, clock)


def _licence(policy: Policy, clock: Clock) -> Finding:
    if policy.licence is None:
        return Finding("tobacco licence", ok=False, found="none; add [licence] to the policy, or sell no tobacco (T04)")
    left = policy.licence.valid_until - policy.hours.local(clock.wall()).date()
    if left < timedelta(0):
        return Finding("tobacco licence", ok=False, found=f"ended on {policy.licence.valid_until}; renew it (T04)")
    soon = "; renew it soon" if left < LICENCE_WARN else ""
    return Finding("tobacco licence", ok=True, found=f"valid until {policy.licence.valid_until}{soon}")


def _shelves(config: StoreConfig) -> Iterator[Finding]:
    """Baskets of a shelf that no weight tells apart would all be reviews."""
    for cabinet in config.cabinet:
        for place in cabinet_spec(cabinet, config).compartments.values():
            for shelf in place.shelves:
                if len(shelf.skus) < 2:
                    continue
                doubt = _indistinct(shelf)
                advice = f"{doubt} weighs like another basket; move one of the products to another shelf"
                yield Finding(
                    f"weights of shelf {shelf.shelf}", ok=not doubt, found=advice if doubt else "all distinct"
                )


def _indistinct(shelf: ShelfSpec) -> str:
    """The first basket of up to `TRIED_ITEMS` pieces whose exact weight has more than one explanation."""
    for size in range(1, TRIED_ITEMS + 1):
        for basket in combinations_with_replacement(shelf.skus, size):
            verdict = solve(sum(sku.unit_g for sku in basket), shelf.skus, sigma_g=shelf.sigma_g)
            if not isinstance(verdict, Unique):
                counts = Counter(sku.sku for sku in basket)
                return " + ".join(f"{n} × {sku}" for sku, n in counts.items())
    return ""


def _people(config: StoreConfig) -> Iterator[Finding]:
    needs = any(cabinet.mode == "staff_release" for cabinet in config.cabinet)
    if needs:
        found = (
            f"{len(config.staff)} people" if config.staff else "nobody; add [[staff]], or no tobacco is released (T01)"
        )
        yield Finding("staff", ok=bool(config.staff), found=found)
        readers = [d for d in config.device if d.kind == "id_card"]
        advice = "no identity-card reader; add one, or no adult can be proven (T03)"
        yield Finding("proof of age", ok=bool(readers), found=readers[0].id if readers else advice)


def _devices(config: StoreConfig) -> Iterator[Finding]:
    """What a description alone cannot say of devices."""
    for device in config.device:
        if isinstance(device, ScaleConfig | ClimateConfig | FridgeConfig | RelayInputsConfig):
            if (profile := profile_of(device)).device.template:
                advice = f"{profile.name} is a template: copy it, fill in the addresses of your model, name the copy"
                yield Finding(f"profile of {device.id}", ok=True, found=advice)
        elif isinstance(device, RfidConfig) and device.family == "llrp":
            there = find_spec("sllurp") is not None
            found = f"{device.host}:{device.port}" if there else 'needs sllurp (GPL 3): pip install "zhanggui[llrp]"'
            yield Finding(f"reader {device.id}", ok=there, found=found)


def _cameras(config: StoreConfig) -> Iterator[Finding]:
    cameras = [d for d in config.device if isinstance(d, CameraConfig)]
    for camera in cameras:
        signed = bool(camera.sign_confirmed_at)
        found = camera.sign_confirmed_at or "hang the notice, then set sign_confirmed_at (P09)"
        yield Finding(f"notice of camera {camera.id}", ok=signed, found=found)
        if camera.login_file is not None:
            try:
                read_login(camera.login_file)
            except MisconfiguredError as error:
                yield Finding(f"login of camera {camera.id}", ok=False, found=str(error))
            else:
                yield Finding(f"login of camera {camera.id}", ok=True, found=str(camera.login_file))
    if cameras:
        try:
            status = verify_model("person")
        except ModelError as error:
            yield Finding("person model", ok=False, found=str(error))
        else:
            yield Finding("person model", ok=status.ok, found="here and proven" if status.ok else status.reason)
