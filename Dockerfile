# Two steps: the first installs with pip, the second has no build tools and runs as nobody in particular.
# tests/test_packaging.py runs the RUN lines in an empty directory; the image itself was not built there.

FROM python:3.12-slim AS build
WORKDIR /src
RUN python -m venv /opt/heartfly
COPY requirements.lock ./
RUN /opt/heartfly/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY heartfly ./heartfly
COPY alembic ./alembic
COPY docs ./docs
COPY CHANGELOG.md config.example.toml ./
RUN /opt/heartfly/bin/pip install --no-cache-dir --no-deps .
RUN mkdir /data

FROM python:3.12-slim
COPY --from=build /opt/heartfly /opt/heartfly
COPY --from=build --chown=10001:10001 /data /data
ENV PATH=/opt/heartfly/bin:$PATH \
    HEARTFLY_DATA__DIR=/data \
    HEARTFLY_SERVER__HOST=0.0.0.0
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=2)"]
STOPSIGNAL SIGTERM
CMD ["heartfly", "serve"]
