"""One module per dashboard."""

from __future__ import annotations

from deploy.grafana.boards import agent, diagnosed, gateway, models, overview, retrieval, stores, work

DASHBOARDS = (
    overview.DASHBOARD,
    gateway.DASHBOARD,
    agent.DASHBOARD,
    models.DASHBOARD,
    retrieval.DASHBOARD,
    diagnosed.DASHBOARD,
    stores.DASHBOARD,
    work.DASHBOARD,
)

__all__ = ["DASHBOARDS"]
