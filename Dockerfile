# syntax=docker/dockerfile:1
FROM python:3.11.14-slim-bookworm AS build
COPY --from=ghcr.io/astral-sh/uv:0.13.8 /uv /usr/local/bin/uv
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_PROJECT_ENVIRONMENT=/app/.venv
WORKDIR /app
COPY pyproject.toml uv.lock README.md LICENSE ./
RUN uv sync --frozen --no-dev --extra cluster --no-install-project
COPY . .
RUN uv sync --frozen --no-dev --extra cluster --no-editable

FROM python:3.11.14-slim-bookworm
RUN useradd --uid 10001 --create-home clipthat && install -d -o clipthat -g clipthat /data
COPY --from=build /app/.venv /app/.venv
ENV PATH=/app/.venv/bin:$PATH PYTHONUNBUFFERED=1 CLIPTHAT_DATA_DIR=/data CLIPTHAT_WEB__HOST=0.0.0.0
USER clipthat
VOLUME /data
EXPOSE 8420
# Stages have 13 s to return after SIGTERM; the runtime's own limit must be longer.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8420/healthz', timeout=2)"]
ENTRYPOINT ["clipthat"]
CMD ["run"]
