"""Pictures of the dashboards, drawn by us from the same JSON and a real Prometheus: no screenshots of Grafana."""
