"""A user's own batches of questions; anybody else's do not exist."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Path, Request, Response
from pydantic import StringConstraints

from gateway.batches.store import BatchError
from gateway.core import gateway_of
from gateway.identity import AnyCaller, CostlyCaller
from gateway.openapi import AUTHENTICATED, WITH_BODY, errors
from gateway.problems import ApiError
from kubetriage.contracts.batches import Batch, BatchCreate, BatchId, BatchList

router = APIRouter(tags=["batches"])

OwnBatchId = Annotated[BatchId, Path(examples=["b_019ab1c2d3e4f5a6b7c8d9e0"])]
IdempotencyKey = Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]{1,128}$")]
_REFUSALS = {
    "batch_limit": ApiError(
        409, "batch_limit", "You have as many open batches as you may: wait for one, or DELETE one at /v1/batches."
    ),
    "idempotency_key_reused": ApiError(
        422, "idempotency_key_reused", "This Idempotency-Key was sent with other items: take a new one."
    ),
}


def _not_found() -> ApiError:
    return ApiError(404, "batch_not_found", "You have no such batch; GET /v1/batches lists yours.")


@router.post(
    "/v1/batches",
    summary="Have many questions answered",
    description=(
        "Up to 50 items, answered one after the other with the rights that you have then. The answer comes at once; "
        "`GET /v1/batches/{batch_id}` shows progress and results. Calls with one `Idempotency-Key` make one batch."
    ),
    status_code=202,
    responses=errors(*AUTHENTICATED, *WITH_BODY, 403, 409, 503),
)
async def create_batch(
    request: Request,
    response: Response,
    caller: CostlyCaller,
    wanted: BatchCreate,
    idempotency_key: Annotated[IdempotencyKey | None, Header()] = None,
) -> Batch:
    for item in wanted.items:
        caller.require(namespace=item.namespace, cluster=item.cluster)
    gateway = gateway_of(request)
    owner = caller.user
    try:
        async with gateway.store.guard():
            batch_id = await gateway.batches.create(owner.username, owner.epoch, wanted.items, idempotency_key)
            batch = await gateway.batches.find(owner.username, batch_id)
    except BatchError as error:
        raise _REFUSALS[error.code] from error
    if batch is None:  # made with this key, and forgotten since
        raise _not_found()
    response.headers["Location"] = f"/v1/batches/{batch_id}"
    return batch


@router.get("/v1/batches", summary="List my batches", responses=errors(*AUTHENTICATED, 503))
async def list_batches(request: Request, caller: AnyCaller) -> BatchList:
    gateway = gateway_of(request)
    async with gateway.store.guard():
        return BatchList(batches=await gateway.batches.all_of(caller.user.username))


@router.get(
    "/v1/batches/{batch_id}",
    summary="One of my batches",
    description="With the results so far.",
    responses=errors(*AUTHENTICATED, 404, 422, 503),
)
async def read_batch(request: Request, caller: AnyCaller, batch_id: OwnBatchId) -> Batch:
    gateway = gateway_of(request)
    async with gateway.store.guard():
        batch = await gateway.batches.find(caller.user.username, batch_id)
    if batch is None:
        raise _not_found()
    return batch


@router.delete(
    "/v1/batches/{batch_id}",
    summary="Cancel one of my batches",
    description="Nothing more is asked; results that are there stay.",
    status_code=204,
    responses=errors(*AUTHENTICATED, 404, 422, 503),
)
async def cancel_batch(request: Request, caller: AnyCaller, batch_id: OwnBatchId) -> Response:
    gateway = gateway_of(request)
    async with gateway.store.guard():
        found = await gateway.batches.cancel(caller.user.username, batch_id)
    if not found:
        raise _not_found()
    return Response(status_code=204)
