# One image, three roles: web (the default command), worker and beat. docker-compose.yml runs them all.

FROM python:3.11-slim AS packages
WORKDIR /build
COPY requirements/uv.txt requirements/parquet.txt ./
RUN pip install --no-cache-dir --require-hashes -r uv.txt \
    && python -m venv --without-pip /venv \
    && uv pip sync --no-cache --compile-bytecode --python /venv/bin/python --require-hashes parquet.txt

FROM python:3.11-slim
ENV PATH=/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    JURYBOX_VAR_DIR=/app/var
RUN useradd --uid 10001 --no-create-home --home-dir /app --shell /usr/sbin/nologin jurybox
COPY --from=packages /venv /venv
WORKDIR /app
COPY . .
# The key serves this one command and is kept nowhere: a key in an image would be everybody's.
RUN JURYBOX_SECRET_KEY=only-for-collecting-static-files-at-build python manage.py collectstatic --no-input \
    && mkdir -p /data \
    && chown -R 10001:10001 /app/var /data
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=4 \
    CMD ["python", "-m", "bin.healthy"]
CMD ["gunicorn", "config.wsgi", "--bind", "0.0.0.0:8000", "--workers", "2", "--threads", "4", \
    "--worker-tmp-dir", "/dev/shm", "--no-control-socket"]
