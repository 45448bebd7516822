"""The door for orders: issue one, look at one, look at the last ones. Every refusal names the field and the fix."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any

from fastapi import FastAPI, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr

from cloud_bridge.bridge import Bridge
from cloud_bridge.commands import book
from cloud_bridge.commands.book import Issued, Order
from cloud_bridge.commands.verdict import State
from cloud_bridge.storage import Db
from contracts.clock import Clock, unix_ms
from contracts.command_types import COMMAND_TYPES, MAX_TTL_MS, BadArgsError, parse_args
from contracts.ids import ID_PATTERN, new_uuid

PATH = "/api/v1/stores/{tenant}/{store}/commands"
MAX_OPEN = 16  # of one store; it takes no more at once
MAX_SHOWN = 200
Id = Annotated[str, Path(pattern=ID_PATTERN)]


class CommandIn(BaseModel):
    """An order. `issued_by` is a name for the record; `ttl_s` seconds, without it as long as its type says."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"type": "session.revoke", "args": {"cabinet": "T1"}, "issued_by": "amy", "ttl_s": 3600},
                {"type": "device.restart", "args": {"device": "scale-1"}, "issued_by": "amy"},
                {"type": "config.reload", "issued_by": "amy"},
            ]
        },
    )

    type: str = Field(max_length=64)
    args: dict[str, StrictStr | StrictInt | None] = Field(default_factory=dict, max_length=16)
    issued_by: str = Field(pattern=ID_PATTERN)
    ttl_s: StrictInt | None = Field(default=None, ge=1, le=MAX_TTL_MS // 1000)
    id: str | None = Field(
        default=None, pattern=ID_PATTERN, description="your own, so that a repeat issues nothing new"
    )


@dataclass(frozen=True, slots=True)
class CommandOut:
    """A command and what became of it. Times are ms since 1970 by this cloud; 0: not yet.

    `state`: issued, accepted; done, failed, refused, unknown, expired. `final`: nothing more is waited for, though a
    store that was cut off may still tell. `detail` is a code, `result` what a query found.
    """

    id: str
    tenant: str
    store: str
    type: str
    args: dict[str, str | int | None]
    issued_by: str
    stream: str
    issued_ms: int
    expires_ms: int
    state: State
    final: bool
    detail: str
    result: dict[str, str | int]
    accepted_ms: int
    answered_ms: int


@dataclass(frozen=True, slots=True)
class CommandRefused:
    """`field` names what is wrong in what was sent ("" for all together), `fix` what to do."""

    error: str
    detail: str
    field: str
    fix: str


@dataclass(frozen=True, slots=True)
class CommandTypeOut:
    """A type of command: the names of its arguments, and how long it lives unless said otherwise."""

    type: str
    says: str
    args: list[str]
    ttl_s: int
    moves_hardware: bool


class OrderError(Exception):
    """An order that is not taken: what the caller did wrong, or what stands against it."""

    def __init__(self, status: int, error: str, field: str, fix: str) -> None:
        super().__init__(fix)
        self.status = status
        self.body = CommandRefused(error, f"{field}: {fix}" if field else fix, field, fix)


_BAD: dict[int | str, dict[str, Any]] = {
    404: {"model": CommandRefused, "description": "nothing is known of it"},
    409: {"model": CommandRefused, "description": "the store has not said hello yet, or the id means another command"},
    422: {"model": CommandRefused, "description": "what was sent is wrong; `field` and `fix` say what to do"},
    429: {"model": CommandRefused, "description": "so many commands of this store are open already"},
}


def add_command_api(app: FastAPI, bridge: Bridge, *, clock: Clock) -> None:
    """Put the routes on `app`; `clock` is the time of the stores."""

    @app.exception_handler(OrderError)
    async def refused(_request: Request, error: OrderError) -> JSONResponse:
        body = error.body
        return JSONResponse(
            {"error": body.error, "detail": body.detail, "field": body.field, "fix": body.fix}, status_code=error.status
        )

    @app.exception_handler(RequestValidationError)
    async def invalid(_request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"][1:])
        fix = str(first["msg"])
        body = {"error": "bad_request", "detail": f"{field}: {fix}" if field else fix, "field": field, "fix": fix}
        return JSONResponse(body, status_code=422)

    def now_ms() -> int:
        return unix_ms(clock.wall())

    @app.get("/api/v1/command-types", tags=["commands"])
    async def types() -> list[CommandTypeOut]:
        """What can be ordered. No type opens a compartment."""
        return [
            CommandTypeOut(t.name, t.says, list(t.args.__struct_fields__), t.ttl_s, t.moves_hardware)
            for t in COMMAND_TYPES.values()
        ]

    @app.post(PATH, tags=["commands"], status_code=201, responses=_BAD)
    async def issue(tenant: Id, store: Id, said: CommandIn, response: Response) -> CommandOut:
        """Write a command down, then publish it. The answer comes before the store's: ask for its state."""
        asked = _checked(tenant, store, said, now_ms())

        def write(db: Db) -> Order:
            stream = book.target(db, tenant, store)
            if stream is None:
                raise OrderError(409, "store_not_heard", "", f"store {store} has not said hello yet; start its agent")
            known = book.find(db, tenant, store, asked.id)
            if known is None and book.count_open(db, tenant, store, asked.issued_ms) >= MAX_OPEN:
                raise OrderError(429, "too_many_open", "", f"{MAX_OPEN} commands are open; wait until some have ended")
            stands = known.issued if known else book.issue(db, _to(asked, stream))
            if (stands.type, stands.args, stands.issued_by) != (asked.type, asked.args, asked.issued_by):
                raise OrderError(409, "id_taken", "id", "names another command already; choose another")
            return known or Order(stands, ())

        order = await bridge.storage.write(write)
        bridge.commands.issued()
        response.headers["Location"] = f"{PATH.format(tenant=tenant, store=store)}/{order.issued.id}"
        return _out(order, now_ms())

    @app.get(PATH, tags=["commands"])
    async def latest(tenant: Id, store: Id, limit: Annotated[int, Query(ge=1, le=MAX_SHOWN)] = 20) -> list[CommandOut]:
        """The last commands of a store, newest first."""
        found = await bridge.storage.read(lambda db: book.latest(db, tenant, store, limit))
        at_ms = now_ms()
        return [_out(order, at_ms) for order in found]

    @app.get(PATH + "/{command}", tags=["commands"], responses={404: _BAD[404]})
    async def one(tenant: Id, store: Id, command: Id) -> CommandOut:
        """One command: its state, its outcome, its times."""
        order = await bridge.storage.read(lambda db: book.find(db, tenant, store, command))
        if order is None:
            raise OrderError(404, "unknown_command", "", f"store {store} of {tenant} was given no command {command}")
        return _out(order, now_ms())


def _checked(tenant: str, store: str, said: CommandIn, now_ms: int) -> Issued:
    kind = COMMAND_TYPES.get(said.type)
    if kind is None:
        raise OrderError(422, "unknown_type", "type", f"must be one of: {', '.join(COMMAND_TYPES)}")
    try:
        parse_args(kind, said.args)
    except BadArgsError as error:
        raise OrderError(422, "bad_args", f"args.{error.field}" if error.field else "args", error.fix) from error
    ttl_s = kind.ttl_s if said.ttl_s is None else said.ttl_s
    return Issued(
        tenant=tenant,
        store=store,
        id=said.id or new_uuid(),
        stream="",
        type=said.type,
        args=dict(said.args),
        issued_by=said.issued_by,
        issued_ms=now_ms,
        expires_ms=now_ms + ttl_s * 1000,
    )


def _to(asked: Issued, stream: str) -> Issued:
    return replace(asked, stream=stream)


def _out(order: Order, now_ms: int) -> CommandOut:
    issued, verdict = order.issued, order.verdict(now_ms)
    word = verdict.word
    accepted = [w.received_ms for w in order.words if w.said == "accepted"]
    answered = [w.received_ms for w in order.words if w.said != "accepted"]
    return CommandOut(
        id=issued.id,
        tenant=issued.tenant,
        store=issued.store,
        type=issued.type,
        args=issued.args,
        issued_by=issued.issued_by,
        stream=issued.stream,
        issued_ms=issued.issued_ms,
        expires_ms=issued.expires_ms,
        state=verdict.state,
        final=verdict.final,
        detail=word.detail if word else "",
        result=dict(word.result) if word else {},
        accepted_ms=min(accepted, default=0),
        answered_ms=max(answered, default=0),
    )
