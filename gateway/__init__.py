"""The only public door: who asks, how often, and on to the agent.

``app`` puts it together; ``settings`` configures it; ``users``, ``signing_keys``, ``access_tokens``,
``refresh_tokens`` and ``api_keys`` are identity; ``limits`` the quotas; ``sessions`` who owns which
conversation; ``upstream`` the way to the agent; ``routes`` the calls. Imports the core, never
another service, and nothing heavy: it starts in under a second.
"""
