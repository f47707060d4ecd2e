"""Connections that notice a peer that is gone without a word, as a killed pod is: nothing answers for its address.

Without this a call under way waits for the whole patience of a question. See tcp(7).
"""

from __future__ import annotations

import socket

from aiohttp import AddrInfoType

# Seconds of silence, seconds between questions, questions: a dead peer is known after about nine seconds.
IDLE, INTERVAL, COUNT = 3, 2, 3
_OPTIONS = (
    ("TCP_KEEPIDLE", IDLE),
    ("TCP_KEEPALIVE", IDLE),  # what Darwin calls it
    ("TCP_KEEPINTVL", INTERVAL),
    ("TCP_KEEPCNT", COUNT),
    ("TCP_USER_TIMEOUT", (IDLE + INTERVAL * COUNT) * 1000),  # ms, for what was sent and not acknowledged
)


def watched_socket(address: AddrInfoType) -> socket.socket:
    """A TCP socket for aiohttp's connector; options that this system does not know are left out."""
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _OPTIONS:
        option = getattr(socket, name, None)
        if option is not None:
            made.setsockopt(socket.IPPROTO_TCP, option, value)
    return made
