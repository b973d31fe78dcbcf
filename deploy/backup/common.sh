# shellcheck shell=sh
# What the other scripts have in common; read by them, not run.

die() { echo "$(basename "$0"): $*" >&2; exit 1; }

# Debian keeps most of PostgreSQL's programs out of the way. The newest come first; PG_BIN names others.
# shellcheck disable=SC2012
for bin in $(ls -d /usr/lib/postgresql/*/bin /usr/pgsql-*/bin 2>/dev/null | sort -V); do PATH=$bin:$PATH; done
PATH=${PG_BIN:+$PG_BIN:}$PATH

# Puts the programs of a cluster's own version first, but for those of PG_BIN: the newest cannot read an older one's log. Takes its
# folder, or a copy of it.
programs_of() {
    version=$(cat "$1/PG_VERSION")
    for bin in "/usr/lib/postgresql/$version/bin" "/usr/pgsql-$version/bin"; do
        if [ -d "$bin" ]; then PATH=$bin:$PATH; fi
    done
    PATH=${PG_BIN:+$PG_BIN:}$PATH
}
