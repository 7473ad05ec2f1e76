"""The commands' way to the daemon: HTTP with JSON over the admin socket, whose file's owner and group may use it."""

import pwd
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web

from appliance.config.faults import ConfigError
from appliance.config.rule_files import RuleError
from appliance.desk import Asker, Desk, NotFound, Refusal, Unusable, parsed
from appliance.firewall.backend import BackendError
from appliance.model import Scope
from appliance.people import People
from appliance.store.store import StoreError

BODY_BYTES = 65536
"""Largest request: an address and a reason."""

Json = dict[str, Any]

_STATUS: Mapping[type[Exception], int] = {
    Unusable: 400,
    Refusal: 403,
    NotFound: 404,
    ConfigError: 422,
    RuleError: 422,
    BackendError: 503,
    StoreError: 503,
    OSError: 503,
}
"""What an error becomes; the command turns it into an exit code."""

_FAULTS = tuple(_STATUS)


def admin_app(
    desk: Desk,
    people: People,
    status: Callable[[], Json],
    doctor: Callable[[], Awaitable[list[Json]]],
    reload: Callable[[], Awaitable[Json]],
) -> web.Application:
    """Build the admin site."""

    async def get_status(_request: web.Request) -> Any:
        return status()

    async def get_bans(request: web.Request) -> Any:
        address = request.query.get("address")
        return desk.bans(None if address is None else parsed(address), observed="observed" in request.query)

    async def post_bans(request: web.Request) -> Any:
        wish = await _body(request)
        try:
            seconds = float(wish["seconds"])
        except (KeyError, TypeError, ValueError) as fault:
            raise Unusable("seconds is missing or no number") from fault
        scope = str(wish.get("scope", Scope.ALL))
        return await desk.ban(_word(wish, "address"), seconds, _word(wish, "reason"), _asker(request), scope)

    async def delete_bans(request: web.Request) -> Any:
        wish = await _body(request)
        return await desk.unban(_word(wish, "address"), _asker(request), str(wish.get("reason", "")))

    async def get_why(request: web.Request) -> Any:
        return await desk.why(request.query.get("address", ""))

    async def get_allow(_request: web.Request) -> Any:
        return await desk.allowed()

    async def post_allow(request: web.Request) -> Any:
        wish = await _body(request)
        return await desk.allow(_word(wish, "network"), str(wish.get("comment", "")), _asker(request))

    async def delete_allow(request: web.Request) -> Any:
        return await desk.disallow(_word(await _body(request), "network"), _asker(request))

    async def get_account(request: web.Request) -> Any:
        return await people.account(request.query.get("name", ""), _number(request, "seconds"))

    async def get_familiar(request: web.Request) -> Any:
        after = request.query.get("after_account"), request.query.get("after_address")
        behind = None if after[0] is None or after[1] is None else (after[0], after[1])
        return await people.familiar(request.query.get("whom"), behind)

    async def delete_familiar(request: web.Request) -> Any:
        wish = await _body(request)
        return await people.forget(_word(wish, "whom"), _asker(request), str(wish.get("reason", "")))

    async def get_drops(_request: web.Request) -> Any:
        return await desk.drops()

    async def post_reload(_request: web.Request) -> Any:
        return await reload()

    async def get_doctor(_request: web.Request) -> Any:
        return await doctor()

    app = web.Application(client_max_size=BODY_BYTES, middlewares=[_answer_errors])
    for method, path, answer in (
        ("GET", "/status", get_status),
        ("GET", "/bans", get_bans),
        ("POST", "/bans", post_bans),
        ("DELETE", "/bans", delete_bans),
        ("GET", "/why", get_why),
        ("GET", "/allow", get_allow),
        ("POST", "/allow", post_allow),
        ("DELETE", "/allow", delete_allow),
        ("GET", "/account", get_account),
        ("GET", "/familiar", get_familiar),
        ("DELETE", "/familiar", delete_familiar),
        ("GET", "/drops", get_drops),
        ("POST", "/reload", post_reload),
        ("GET", "/doctor", get_doctor),
    ):
        app.router.add_route(method, path, _json(answer))
    return app


def _json(answer: Callable[[web.Request], Awaitable[Any]]) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answered(request: web.Request) -> web.Response:
        return web.json_response(await answer(request))

    return answered


@web.middleware
async def _answer_errors(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except _FAULTS as fault:
        status = next(code for kind, code in _STATUS.items() if isinstance(fault, kind))
        return _error(fault, str(fault), status)
    except web.HTTPException as fault:  # no such page, a body that is too large
        return _error(fault, fault.text or fault.reason, fault.status)


def _error(fault: Exception, says: str, status: int) -> web.Response:
    return web.json_response({"error": says, "kind": type(fault).__name__}, status=status)


async def _body(request: web.Request) -> Mapping[str, Any]:
    try:
        wish = await request.json()
    except (ValueError, LookupError, RecursionError) as fault:  # no JSON, no known charset, nested too deeply
        raise Unusable(f"the request is no JSON: {fault}") from fault
    if not isinstance(wish, dict):
        raise Unusable("the request is no JSON object")
    return wish


def _word(wish: Mapping[str, Any], key: str) -> str:
    if not isinstance(wish.get(key), str):
        raise Unusable(f"{key} is missing")
    return str(wish[key])


def _number(request: web.Request, key: str) -> float:
    try:
        return float(request.query[key])
    except (KeyError, ValueError) as fault:
        raise Unusable(f"{key} is missing or no number") from fault


def _asker(request: web.Request) -> Asker:
    """Who asks, by the kernel's word (SO_PEERCRED, unix(7))."""
    sock: socket.socket = request.get_extra_info("socket")
    _pid, uid, _gid = struct.unpack("iII", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    try:
        return Asker(pwd.getpwuid(uid).pw_name)
    except KeyError:
        return Asker(f"uid {uid}")
