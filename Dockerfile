# The web page and its API in a container. docs/serve.md says how to run it; ci/docker.sh builds, runs and measures it.
ARG BASE=debian:12-slim

FROM ${BASE} AS build
# Where PyTorch is looked for beside pip's own index: …/whl/cpu, or …/whl/cu130, whose wheels bring CUDA themselves, so
# that the host adds its driver only. Empty: pip's own index alone.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ARG TORCH_VERSION=2.13.0
# f0 adds pitch trackers by other packages (docs/f0.md), and 0.3 GB.
ARG EXTRAS=web,media
# Debian's archive keeps one version of a package, so that a pinned one soon fails.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3-venv \
    && rm -rf /var/lib/apt/lists/* \
    && python3 -m venv /opt/fastsvc
# A layer of its own, as the largest part changes least.
RUN /opt/fastsvc/bin/pip install --no-cache-dir --no-compile ${TORCH_INDEX:+--extra-index-url "${TORCH_INDEX}"} \
    "torch==${TORCH_VERSION}"
WORKDIR /source
COPY setup.py pyproject.toml MANIFEST.in README.md CHANGELOG.md LICENSE ./
COPY fastsvc fastsvc
COPY kernels kernels
COPY build build
RUN /opt/fastsvc/bin/pip install --no-cache-dir --no-compile --prefer-binary ".[${EXTRAS}]"
# A first conversion shows that the parts fit, and compiles those modules that are used: the root stays read-only later.
WORKDIR /proof
COPY examples/recordings/speech/front_center.wav ./
RUN FASTSVC_CACHE=/proof/cache /opt/fastsvc/bin/fastsvc convert front_center.wav --spk slt -o converted \
    && /opt/fastsvc/bin/python -c "import uvicorn, fastsvc.serve.app" \
    && /opt/fastsvc/bin/pip uninstall --yes --quiet pip

FROM ${BASE}
LABEL org.opencontainers.image.title="fastsvc" \
    org.opencontainers.image.description="Singing voice conversion: a web page and an HTTP API" \
    org.opencontainers.image.licenses="MIT"
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 fastsvc \
    && useradd --uid 10001 --gid 10001 --home-dir /data --no-create-home --shell /usr/sbin/nologin fastsvc \
    && install --directory --owner 10001 --group 10001 /data
COPY --from=build /opt/fastsvc /opt/fastsvc
# Jobs, recordings, results and voices lie in the volume; the root may be read-only where /tmp is a tmpfs.
ENV PATH=/opt/fastsvc/bin:$PATH HOME=/data FASTSVC_SERVE=/data FASTSVC_CACHE=/data/cache PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
VOLUME /data
WORKDIR /data
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python3", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
ENTRYPOINT ["fastsvc"]
CMD ["serve", "--host", "0.0.0.0"]
