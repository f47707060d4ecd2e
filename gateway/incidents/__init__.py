"""Alerts become incidents, each is diagnosed once, and the result is posted on.

``groups`` reads Alertmanager's notification; ``store`` keeps incidents in Redis and is the only one
that writes them; ``diagnosing`` and ``delivery`` are the two kinds of work on them; ``messages`` is
what the outside gets to read; ``visibility`` says who may read what. Everything that decides is a pure
function; Redis scripts make each change one step, so that any number of gateways may work on one Redis.
"""
