# The course in JupyterLab, for compose.yaml. A base as for the Dockerfile beside it.
#
#   docker build -f docker/lab.Dockerfile -t kvcore-lab:local .
ARG BASE=python:3.12-slim
FROM ${BASE}

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=/opt/kvcore \
    HOME=/opt/kvcore/work/.home
COPY docker/install.py docker/health.py docker/start_lab.py /opt/docker/
COPY pyproject.toml README.md LICENSE /opt/kvcore/
COPY kvcore /opt/kvcore/kvcore
ARG EXTRAS=course,secure
RUN ["python3", "/opt/docker/install.py", "/opt/kvcore/work", "/secret/clients"]
COPY scripts/lab.py /opt/kvcore/scripts/
COPY jupyter /opt/kvcore/jupyter
COPY course /opt/kvcore/course

USER 10001:10001
VOLUME /opt/kvcore/work
EXPOSE 8888
HEALTHCHECK --interval=5s --timeout=5s --start-period=30s --retries=3 \
  CMD ["python3", "-S", "/opt/docker/health.py", "8888", "/api"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["python3", "/opt/docker/start_lab.py"]
