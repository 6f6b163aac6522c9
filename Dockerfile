# Docket as an image: docker build --tag docket .
#
# The tag below names the oldest Python that Docket is tested with, and moves with its security fixes. For a deployment,
# pin the image that you tested by its digest: --build-arg BASE=python:3.11-slim-bookworm@sha256:…
ARG BASE=python:3.11-slim-bookworm

# The build: every package comes from the locks, with its hash, as a wheel. Nothing is compiled.
FROM ${BASE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_INPUT=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
# The locks come first, so that these layers stay the same as long as the locks do.
COPY requirements/base.txt requirements/build.txt requirements/
RUN python -m venv --without-pip /opt/docket \
    && pip --python /opt/docket/bin/python install --no-deps --require-hashes --only-binary :all: \
        -r requirements/base.txt \
    && pip install --no-deps --require-hashes --only-binary :all: -r requirements/build.txt
COPY pyproject.toml README.md LICENSE hatch_build.py alembic.ini ./
COPY alembic alembic
COPY static static
COPY templates templates
COPY webapp webapp
RUN pip wheel --no-deps --no-build-isolation --wheel-dir dist . \
    && pip --python /opt/docket/bin/python install --no-deps --no-index dist/docket-*.whl \
    # The final image cannot be written: without these, each process would compile templates at its first pages.
    && /opt/docket/bin/python -c "from webapp.page_context import compile_templates; compile_templates()"

# The final image: Python, the environment, and a user who owns one folder.
FROM ${BASE}
ENV PATH=/opt/docket/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    DOCKET_DATABASE_URL=sqlite:////var/lib/docket/docket.db
RUN useradd --uid 10001 --user-group --no-log-init --home-dir /var/lib/docket --shell /usr/sbin/nologin docket \
    && install --directory --owner docket --group docket --mode 0750 /var/lib/docket
COPY --from=build /opt/docket /opt/docket
# A number, so that Kubernetes can see that it is not root.
USER 10001:10001
# The only writable folder, needed only without PostgreSQL: docker run --read-only --volume docket:/var/lib/docket
WORKDIR /var/lib/docket
EXPOSE 8000
# Without the proxies of the environment, because it asks this container.
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --start-interval=2s --retries=3 \
    CMD ["python", "-c", "from urllib.request import *; build_opener(ProxyHandler({})).open('http://127.0.0.1:8000/health/ready', timeout=4)"]
ENTRYPOINT ["docket"]
CMD ["serve", "--host", "0.0.0.0"]
