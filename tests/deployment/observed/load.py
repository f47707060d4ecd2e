"""What users, careless ones too, do to the product; and what happens to it meanwhile."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

import aiohttp

from tests.agent.support import ask as ask_agent
from tests.deployment.observed.product import Product
from tests.gateway.alerting import notification, tell
from tests.gateway.support import PASSWORD, add_users, bearer, log_in
from tests.processes import Reply, send

_SEARCH = {"calls": [["search_runbooks", {"query": "container runs out of memory"}]]}
_LOGS = {"calls": [["get_pod_logs", {"name": "deployment/payments", "namespace": "shop"}]]}
_WRONG = {"calls": [["describe_pod", {"name": "nobody", "namespace": "shop"}]]}
_TEXT = {"text": "payments runs out of memory: raise its limit"}
_DOWN = {"status": 500}


class Users:
    """Some users with their sessions."""

    def __init__(self, product: Product, http: aiohttp.ClientSession) -> None:
        self._product = product
        self._http = http
        self._tokens: dict[str, Any] = {}
        self._session: str | None = None

    async def begin(self) -> None:
        """Makes them and logs them in."""
        await add_users(self._product.redis.url)
        for name in ("ada", "bob"):
            self._tokens[name] = await log_in(self._http, self._product.gateway.url, name)

    async def ask(self, question: str, *script: dict[str, Any], stream: bool = False) -> Reply:
        """Ada asks; ``script``: what the model does."""
        await self._plays(*script)
        body = {"question": question, "session_id": self._session}
        headers = {"Accept": "text/event-stream"} if stream else {}
        reply = await self._call("POST", "/v1/ask", json=body, headers=headers)
        self._session = reply.headers.get("X-Session-ID", self._session)
        return reply

    async def investigate(self, delay: float = 0.0) -> None:
        """Questions whose model calls tools, one of them in vain; ``delay``: seconds that it thinks."""
        await self.ask("Why is checkout failing?", _SEARCH, {**_LOGS, "delay": delay / 2}, {**_TEXT, "delay": delay})
        await self.ask("Show me its logs", _WRONG, _TEXT, stream=True)

    async def diagnose(self) -> None:
        """Both clusters' faults, and a namespace without any."""
        for namespace in ("shop", "reports", None, "kube-system"):
            await self._call("POST", "/v1/diagnose", json={"namespace": namespace})

    async def work(self) -> None:
        """An alert that comes and goes, and a batch: nobody waits for them."""
        for status in ("firing", "resolved"):
            await tell(self._http, self._product.gateway.url, notification("KubePodCrashLooping", status=status))
        items = [{"namespace": "shop"}, {"namespace": "reports"}]
        await self._call("POST", "/v1/batches", json={"items": items})

    async def search(self, *queries: str) -> None:
        for query in queries:
            await self._call("POST", "/v1/search", json={"query": query})
        await self._call("GET", "/v1/sessions")
        await self._call("GET", "/v1/me")

    async def hurry(self, times: int) -> None:
        """Bob tries again and again what is not his, until he is over his limit."""
        for _ in range(times):
            await self._call("POST", "/v1/diagnose", "bob", json={"namespace": "billing"})

    async def blunder(self) -> None:
        """What ends with a 4xx."""
        form = {"username": "ada", "password": PASSWORD.upper()}
        await self._call("POST", "/v1/auth/token", data=form)
        await self._call("GET", "/v1/sessions/s_00000000")
        await self._call("POST", "/v1/ask", json={"question": ""})

    async def without_model(self) -> None:
        """The vendor fails: the built-in model answers."""
        await self.ask("Why is checkout failing?", _DOWN)

    async def without_chroma(self) -> None:
        """The second agent searches in vain, and answers without runbooks."""
        await self._plays(_SEARCH, _TEXT)
        await ask_agent(self._http, self._product.second_agent, "Which runbook is there?", session="s_22222222")

    async def without_redis(self) -> None:
        """Redis stands still: gateways and agents notice, and go on when it does."""
        redis = self._product.redis.process
        redis.send_signal(signal.SIGSTOP)
        try:
            await asyncio.gather(
                self._call("GET", "/v1/sessions"),
                ask_agent(self._http, self._product.agent, "Is shop healthy?", session="s_33333333"),
            )
        finally:
            redis.send_signal(signal.SIGCONT)

    async def probe(self) -> None:
        """As a cluster does."""
        await self._call("GET", "/readyz")

    async def _plays(self, *script: dict[str, Any]) -> None:
        async with self._http.post(f"{self._product.vendor}/script", json=script or (_TEXT,)) as answer:
            assert answer.status == 200

    async def _call(self, method: str, path: str, user: str = "ada", **options: Any) -> Reply:
        headers = {**bearer(self._tokens[user]), **options.pop("headers", {})}
        return await send(self._http, method, f"{self._product.gateway.url}{path}", headers=headers, **options)
