# One image for the API, the worker and the migration: `ringi api`, `ringi worker`, `ringi migrate`.
FROM python:3.11-slim AS build
WORKDIR /build
RUN python -m venv /opt/ringi
COPY requirements/app.txt requirements/build.txt requirements/
RUN /opt/ringi/bin/pip install --no-cache-dir --require-hashes -r requirements/app.txt
RUN pip install --no-cache-dir --require-hashes -r requirements/build.txt
COPY . .
RUN pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir dist . \
    && /opt/ringi/bin/pip install --no-cache-dir --no-deps dist/*.whl

FROM python:3.11-slim
RUN useradd --system --uid 10001 --no-create-home ringi
COPY --from=build /opt/ringi /opt/ringi
ENV PATH=/opt/ringi/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER ringi
ENTRYPOINT ["ringi"]
CMD ["api"]
