# syntax=docker/dockerfile:1
# The image of `shelfwise`: the web page, then the binary with page and migrations in it, then that binary alone.
# It needs BuildKit, which `docker build` and `docker compose build` use anyway.

FROM node:20-bookworm-slim AS web
WORKDIR /web
COPY web/package.json web/package-lock.json ./
RUN --mount=type=cache,target=/root/.npm npm ci --no-audit --no-fund
COPY web/ ./
RUN npm run build

FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
COPY --from=web /web/dist web/dist
# Compiled dependencies stay in the cache mounts, so that a change of our own code rebuilds our own code. Cargo goes by
# times of change, and a file of this context may be older than what another checkout left there: hence `touch`.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/src/target,sharing=locked \
    touch build.rs src/lib.rs src/main.rs \
    && cargo build --release --locked \
    && install -D target/release/shelfwise /out/shelfwise

FROM debian:bookworm-slim
# Certificates for TLS to PostgreSQL by `sslmode=verify-ca` and `verify-full`.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 shelfwise \
    && useradd --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin shelfwise
COPY --from=build /out/shelfwise /usr/local/bin/shelfwise
# By number, so that an orchestrator can see that it is not root.
USER 10001:10001
# Production unless told otherwise: it refuses to start without JWT_KEYS and MASTER_KEYS.
ENV HOST=0.0.0.0 SHELFWISE_ENV=production
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=4s --start-period=10s --retries=3 CMD ["/usr/local/bin/shelfwise", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/shelfwise"]
CMD ["serve"]
