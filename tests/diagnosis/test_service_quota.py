"""A full Service quota, and who has no Service because of it."""

from __future__ import annotations

from typing import Any

from tests.diagnosis.build import causes, deployment, diagnosed, meta, pod, service

NAMES = [f"ts-{name}" for name in ("order", "route", "seat", "station", "train", "user")]


def quota(used: int) -> dict[str, Any]:
    figures = {"hard": {"services": "6"}, "used": {"services": str(used)}}
    return {"kind": "ResourceQuota", "metadata": meta("objects"), "spec": {"hard": figures["hard"]}, "status": figures}


def shop(*without: str, used: int = 6) -> list[Any]:
    """Programs that find each other through a registry: no setting names a neighbour."""
    parts: list[Any] = [quota(used)]
    for name in (*NAMES, *without):
        parts += [*deployment(name), pod(name), *([] if name in without else [service(name)])]
    return parts


def test_the_only_one_without_a_service_of_its_name_lacks_it() -> None:
    assert causes(diagnosed(*shop("ts-payment"))) == [("services_quota_exceeded", "namespace/shop")]


def test_a_quota_with_room_and_a_namespace_where_many_have_none_are_no_fault() -> None:
    assert causes(diagnosed(*shop("ts-payment", used=5))) == []
    assert causes(diagnosed(*shop("a-worker", "another-worker"))) == []
