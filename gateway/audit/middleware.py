"""Pure ASGI, the one place where calls are recorded: after the answer has gone out, from what went by."""

from __future__ import annotations

from datetime import UTC, datetime

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.audit.facts import LOGIN, account_of, facts_of_answer, facts_of_request, is_recorded
from gateway.audit.recorder import Recorder
from kubetriage.contracts.audit import AuditEntry

_KEPT_BYTES = 512 * 1024  # of an answer; of a larger one nothing is read


class Auditing:
    """Outside of the routes, inside of the bounds: bodies are small by then."""

    def __init__(self, app: ASGIApp, recorder: Recorder) -> None:
        self._app = app
        self._recorder = recorder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith("/v1/"):
            await self._app(scope, receive, send)
            return
        seen = _Seen(receive, send)
        try:
            await self._app(scope, seen.receive, seen.send)
        finally:
            route = getattr(scope.get("route"), "path", "")
            actor = scope["state"].get("user")
            if is_recorded(scope["method"], route, seen.status, actor):
                self._recorder.record(_entry(scope, route, actor, seen))


class _Seen:
    """What went by of one call. ``status`` 499: the caller hung up before there was one."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self.status = 499
        self.request: list[bytes] = []
        self.answer: list[bytes] = []
        self._kept = 0
        self._receive = receive
        self._send = send

    async def receive(self) -> Message:
        message = await self._receive()
        if body := message.get("body"):
            self.request.append(body)
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        elif (body := message.get("body")) and self._kept <= _KEPT_BYTES:
            self._kept += len(body)
            self.answer.append(body)
            if self._kept > _KEPT_BYTES:
                self.answer.clear()
        await self._send(message)


def _entry(scope: Scope, route: str, actor: str | None, seen: _Seen) -> AuditEntry:
    request = b"".join(seen.request)
    client = scope.get("client")
    return AuditEntry(
        sequence=1,  # the log gives the number
        time=datetime.now(UTC),
        actor=account_of(request) if route == LOGIN else actor or "",
        action=f"{scope['method']} {route}",
        path=scope["path"][:256].encode("ascii", "backslashreplace").decode(),
        status=seen.status,
        request_id=scope["state"]["request_id"],
        address=client[0] if client else "",
        read=facts_of_answer(b"".join(seen.answer)) if seen.status < 400 else (),
        **({} if route == LOGIN else facts_of_request(request)),
    )
