# The emulator of the Kling API as a container (docs/emulator.md), or a worker with EXTRAS=cli,distributed:
#   docker build -t kling-emulator . && docker run --rm -p 127.0.0.1:8808:8808 kling-emulator
FROM python:3.13-slim AS build
ARG EXTRAS=emulator,cli
COPY . /source
RUN python -m venv /kling && /kling/bin/pip install --no-cache-dir "/source[${EXTRAS}]"

FROM python:3.13-slim
RUN useradd --uid 10001 --no-create-home kling && install -d -o kling /data
COPY --from=build /kling /kling
ENV PATH=/kling/bin:$PATH PYTHONUNBUFFERED=1
USER 10001
WORKDIR /data
EXPOSE 8808
HEALTHCHECK --interval=10s --timeout=5s CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8808/openapi.json')"]
# Open, as nobody reaches a container's port unless somebody publishes it.
ENTRYPOINT ["kling-async", "emulator", "--host", "0.0.0.0", "--open"]
