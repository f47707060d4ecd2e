"""The only public door: who asks, how often, and on to the agent.

``app`` puts it together; ``settings`` configures it; ``users``, ``signing_keys``, ``access_tokens``,
``refresh_tokens`` and ``api_keys`` are identity; ``limits`` the quotas; ``sessions`` who owns which
conversation; ``upstream`` the way to the agent; ``routes`` the calls. Imports the core, never
another service, and nothing heavy: it starts in under a second.
"""

import sys

# redis-py imports OpenTelemetry's metrics where they are installed: 2 MB and 50 ms of the start, for what we never
# switch on. It takes their absence well.
if "opentelemetry.sdk.metrics" not in sys.modules:
    sys.modules["opentelemetry.sdk.metrics"] = None  # type: ignore[assignment]
    import redis  # noqa: F401 - now, while they cannot be found

    del sys.modules["opentelemetry.sdk.metrics"]
