# syntax=docker/dockerfile:1
# The image of `shelfwise`: the web page, the dependencies, the binary with page and migrations in it, and then that binary with
# the few libraries that it is linked to, on nothing else. It needs BuildKit, which `docker build` and `docker compose build`
# use anyway.
#
#   docker build --tag shelfwise .
#   docker build --target symbols --output symbols .     what the binary was stripped of, for profiles and crashes

FROM node:20-bookworm-slim AS web
WORKDIR /web
COPY web/package.json web/package-lock.json ./
RUN --mount=type=cache,target=/root/.npm npm ci --no-audit --no-fund
COPY web/ ./
RUN npm run build

FROM rust:1.95-slim-bookworm AS build
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
# Whatever is newest: what is in it is wanted, and not a version.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
# Addresses that are moved at start are packed, which makes the binary smaller.
ENV CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS="-C link-arg=-Wl,-z,pack-relative-relocs"
# The dependencies, in a layer of their own, beside an empty program: a change of our own code begins after it. Targets that are
# named in Cargo.toml have to be there.
COPY Cargo.toml Cargo.lock build.rs ./
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    mkdir src && echo 'fn main() {}' | tee src/main.rs > src/lib.rs \
    && sed -n '/^\[\[bench\]\]/{n;s/^name = "\(.*\)"$/\1/p}' Cargo.toml | while read -r name; do \
        mkdir -p "benches/$name" && cp src/main.rs "benches/$name/main.rs"; done \
    && cargo build --release --locked --bin shelfwise \
    && rm -r src
COPY . .
COPY --from=web /web/dist web/dist
ARG COMMIT=unknown
# Cargo goes by times of change, and a file of this context may be older than the empty program: hence `touch`.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    touch build.rs src/lib.rs src/main.rs \
    && SHELFWISE_COMMIT="$COMMIT" cargo build --release --locked --bin shelfwise \
    && mkdir -p /symbols /root-of-image/usr/local/bin /root-of-image/etc/ssl/certs /root-of-image/tmp \
    && objcopy --only-keep-debug target/release/shelfwise /symbols/shelfwise.debug \
    && objcopy --strip-all target/release/shelfwise /root-of-image/usr/local/bin/shelfwise
# What it is linked to; who may be trusted by TLS to PostgreSQL, Redis, mail, archives and webhooks; names by files, then by DNS;
# and somebody who is not root. /tmp is there to be mounted.
RUN ldd /root-of-image/usr/local/bin/shelfwise | grep -o '/[^ ]*' | sort -u | xargs -I{} cp -L --parents {} /root-of-image \
    && cp /etc/ssl/certs/ca-certificates.crt /root-of-image/etc/ssl/certs/ \
    && echo 'hosts: files dns' > /root-of-image/etc/nsswitch.conf \
    && echo 'shelfwise:x:10001:10001::/:/sbin/nologin' > /root-of-image/etc/passwd \
    && echo 'shelfwise:x:10001:' > /root-of-image/etc/group \
    && chmod 1777 /root-of-image/tmp

FROM scratch AS symbols
COPY --from=build /symbols/ /

FROM scratch
ARG VERSION=0 COMMIT=unknown
LABEL org.opencontainers.image.title="ShelfWise" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$COMMIT"
COPY --from=build /root-of-image/ /
# By number, so that an orchestrator can see that it is not root.
USER 10001:10001
# Production unless told otherwise: it refuses to start without JWT_KEYS and MASTER_KEYS.
ENV PATH=/usr/local/bin HOST=0.0.0.0 SHELFWISE_ENV=production
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=4s --start-period=10s --retries=3 CMD ["/usr/local/bin/shelfwise", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/shelfwise"]
CMD ["serve"]
