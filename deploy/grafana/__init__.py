"""The Grafana dashboards as code, and their pictures. No part of the services: nothing here is in an image."""
