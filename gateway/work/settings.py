"""What can be configured about work without a caller; part of the gateway's Settings."""

from __future__ import annotations

from pydantic import Field

from gateway.setting_types import Seconds, SecretFiles


class WorkSettings(SecretFiles):
    """Durations are seconds. ``batch_*`` are of one user, but for the workers."""

    work_attempts: int = Field(default=6, ge=1, le=20)  # of one job to have the agent's answer
    work_retry_seconds: Seconds = 2.0  # before the second attempt; doubles, up to 300
    # After so long without a sign of life a worker is taken for dead.
    work_lease_seconds: Seconds = 30.0

    batch_workers: int = Field(default=2, ge=1, le=16)  # items at once, of this process
    batch_open: int = Field(default=3, ge=1, le=100)  # batches that are not over
    batch_limit: int = Field(default=10, ge=1, le=1000)  # kept at most
    batch_seconds: int = Field(default=7 * 86400, ge=60)  # kept
