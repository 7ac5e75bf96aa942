# Relay, command line and simulated terminal. MetaTrader is not in it: that is a program for
# Windows, and the relay binds to loopback only, so a terminal has to share its network.
#
#   docker build -t mt5-zmq-bridge .
#   docker compose up          compose.yaml: relay and simulated terminal

FROM python:3.13-slim-bookworm AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY bridge ./bridge
RUN python -m venv /opt/bridge \
    && /opt/bridge/bin/python -m pip install --no-cache-dir --disable-pip-version-check .

FROM python:3.13-slim-bookworm
LABEL org.opencontainers.image.title="mt5-zmq-bridge" \
      org.opencontainers.image.licenses="MIT"
# A number and not only a name: "runAsNonRoot" of an orchestrator can check it.
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /var/lib/bridge \
        --shell /usr/sbin/nologin bridge \
    && install --directory --owner bridge --group bridge --mode 0700 /var/lib/bridge
COPY --from=build /opt/bridge /opt/bridge
ENV PATH=/opt/bridge/bin:$PATH \
    BRIDGE_HOME=/var/lib/bridge \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
# Configuration, keys, journal and logs: without a volume they go with the container.
VOLUME /var/lib/bridge
WORKDIR /var/lib/bridge
USER 10001:10001
# The relay takes SIGTERM as a request to end in order, and writes its cursors then.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=8s --start-period=15s --retries=3 \
    CMD ["bridge", "status", "--timeout", "5"]
ENTRYPOINT ["bridge"]
CMD ["run"]
