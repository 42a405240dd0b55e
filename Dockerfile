# The exchange in a container: docker build --tag exchange .
# Nothing is installed that requirements/run.txt does not name with a hash. docs/operations.md says how to run it.
ARG PYTHON_IMAGE=python:3.13-slim

# hadolint ignore=DL3006
FROM ${PYTHON_IMAGE} AS build
WORKDIR /build
COPY requirements/run.txt requirements/
RUN python3 -m venv /opt/exchange \
    && /opt/exchange/bin/python -m pip install --no-cache-dir --require-hashes --no-deps --only-binary :all: \
        --requirement requirements/run.txt
COPY pyproject.toml README.md LICENSE ./
COPY cli cli
COPY exchange exchange
COPY journal journal
COPY migrations migrations
COPY snapshots snapshots
# The build backend and pip are not needed to run.
RUN /opt/exchange/bin/python -m pip install --no-cache-dir --no-deps --no-build-isolation . \
    && /opt/exchange/bin/python -m pip uninstall --yes setuptools pip \
    && /opt/exchange/bin/python -m compileall -q /opt/exchange/lib

# hadolint ignore=DL3006
FROM ${PYTHON_IMAGE}
# No account of the machine has this number. /data belongs to it, and so does a new volume that is mounted there.
RUN groupadd --gid 10001 exchange \
    && useradd --uid 10001 --gid exchange --no-create-home --home-dir /data --shell /usr/sbin/nologin exchange \
    && install --directory --owner exchange --group exchange --mode 0700 /data
COPY --from=build /opt/exchange /opt/exchange
# The root file system may be read-only, so Python writes no bytecode.
ENV PATH=/opt/exchange/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    EXCHANGE_DB=/data/exchange.db
WORKDIR /data
VOLUME /data
USER 10001:10001
EXPOSE 8765 9100
STOPSIGNAL SIGTERM
# A start replays the commands since the last snapshot, and answers nothing before.
HEALTHCHECK --interval=15s --timeout=8s --start-period=10m --retries=3 \
    CMD ["python3", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:9100/health', timeout=7)"]
ENTRYPOINT ["exchange"]
# Refuses to start until an option says who may trade: --tls-cert and --tls-key, or --insecure.
CMD ["serve", "--host", "0.0.0.0", "--metrics-host", "0.0.0.0", "--metrics-port", "9100"]
