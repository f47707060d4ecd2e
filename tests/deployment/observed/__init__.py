"""The whole product under a real Prometheus: what the tests of dashboards ask, and their pictures show."""
