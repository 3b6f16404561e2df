# FrameVote's images. One image serves web, worker, sweeper and migrate; the command differs.
#
#   docker build --target cpu  -t framevote:cpu .
#   docker build --target cuda -t framevote:cuda .
#
# The CUDA libraries are those that TensorFlow asks for, pinned in requirements-cuda.txt, so
# the base stays slim; the host gives the driver (NVIDIA Container Toolkit).

FROM python:3.11-slim-bookworm AS base
ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PATH=/opt/venv/bin:$PATH


# Dependencies, in layers that change only with the pins.
FROM base AS dependencies
COPY requirements.txt .
RUN python -m venv /opt/venv && pip install -r requirements.txt

FROM dependencies AS dependencies-cuda
COPY requirements-cuda.txt .
RUN pip install -r requirements-cuda.txt


FROM base AS application
# 10001 owns what it writes: the media volume and a small private folder, nothing else.
RUN useradd --uid 10001 --create-home --shell /usr/sbin/nologin framevote \
    && install -d -o framevote -g framevote /data /data/media /data/var
WORKDIR /app
COPY . .
ENV DJANGO_SETTINGS_MODULE=webapp.settings \
    FRAMEVOTE_VAR_DIR=/data/var \
    FRAMEVOTE_MEDIA_DIR=/data/media
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=4 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
CMD ["gunicorn", "webapp.wsgi:application", "--bind", "0.0.0.0:8000", \
     "--worker-class", "gthread", "--workers", "2", \
     "--timeout", "60", "--graceful-timeout", "10", \
     "--worker-tmp-dir", "/dev/shm", "--no-control-socket"]


FROM application AS cuda
COPY --from=dependencies-cuda /opt/venv /opt/venv
# Memory growth: TensorFlow takes what it needs, not the whole card.
ENV TF_FORCE_GPU_ALLOW_GROWTH=true \
    FRAMEVOTE_DEVICE=gpu
RUN FRAMEVOTE_VAR_DIR=/tmp/build FRAMEVOTE_MEDIA_DIR=/tmp/build \
    python manage.py collectstatic --no-input --verbosity 0 && rm -rf /tmp/build
USER framevote


FROM application AS cpu
COPY --from=dependencies /opt/venv /opt/venv
RUN FRAMEVOTE_VAR_DIR=/tmp/build FRAMEVOTE_MEDIA_DIR=/tmp/build \
    python manage.py collectstatic --no-input --verbosity 0 && rm -rf /tmp/build
USER framevote
# Else each new container would make it at its start.
RUN python -m detector prepare --cache /data/var/cache
