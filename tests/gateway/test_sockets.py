"""A connection to the agent notices that the agent's pod is gone."""

from __future__ import annotations

import socket
import sys

import pytest

from gateway.sockets import COUNT, IDLE, INTERVAL, watched_socket


@pytest.mark.skipif(sys.platform != "linux", reason="names of socket options are of Linux")
def test_silence_is_asked_about_and_ends_after_nine_seconds() -> None:
    address = socket.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)[0]
    with watched_socket(address) as made:
        assert made.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        found = [
            made.getsockopt(socket.IPPROTO_TCP, option)
            for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT, socket.TCP_USER_TIMEOUT)
        ]
    assert found == [IDLE, INTERVAL, COUNT, 9000]
