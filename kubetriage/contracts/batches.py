"""Many questions at once, answered one after the other without anybody waiting."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from kubetriage.contracts.api import AskResponse, DiagnoseRequest
from kubetriage.contracts.base import WireModel
from kubetriage.contracts.diagnosis import Diagnosis

BatchId = Annotated[str, StringConstraints(pattern=r"^b_[0-9a-f]{24}$")]
BatchStatus = Literal["running", "done", "cancelled"]
MOST_ITEMS = 50


class BatchItem(DiagnoseRequest):
    """With ``ask`` the question is answered in words, else the scope is diagnosed."""

    ask: bool = False


class BatchCreate(WireModel):
    items: tuple[BatchItem, ...] = Field(min_length=1, max_length=MOST_ITEMS)


class BatchResult(WireModel):
    """The outcome of one item; ``item`` is its place, from 0."""

    item: int
    state: Literal["done", "failed"]
    reason: str | None = Field(default=None, description="why it failed")
    answer: AskResponse | None = None
    diagnosis: Diagnosis | None = None


class BatchSummary(WireModel):
    """A batch as lists show it."""

    id: BatchId
    status: BatchStatus
    total: int
    finished: int = Field(description="items with a result")
    created_at: datetime


class Batch(BatchSummary):
    """The whole batch."""

    items: tuple[BatchItem, ...]
    results: tuple[BatchResult, ...] = ()


class BatchList(WireModel):
    """Newest first."""

    batches: tuple[BatchSummary, ...]
