#!/usr/bin/env bash
# Installs the Debian packages that are missing, and nothing that is there already.
#
#   scripts/install-deps.sh GROUP…
#
#   build    a C compiler, for the crypto library
#   prosody  Prosody and mod_cloud_notify, for the tests and the demo
#   ejabberd ejabberd and the Erlang compiler, for the tests
#   client   the stock XMPP client of the demo (slixmpp)
#   lint     luacheck, for the bridge
#   http2    nghttpd, a server for our HTTP/2 to speak to
#   count    valgrind, which counts instructions
#   package  what looks into the Debian package and its unit
#
# Needs root, or sudo. Starts no service and enables none: the servers that the tests and the demo use are their own.
set -euo pipefail

packages=()
for group in "$@"; do
    case $group in
        build) packages+=(build-essential ca-certificates) ;;
        prosody) packages+=(prosody prosody-modules lua-unbound lua-dbi-sqlite3 sqlite3) ;;
        ejabberd) packages+=(ejabberd erlang-base erlang-p1-sqlite3 sqlite3) ;;
        client) packages+=(python3 python3-slixmpp) ;;
        lint) packages+=(lua-check) ;;
        count) packages+=(valgrind) ;;
        http2) packages+=(nghttp2-server) ;;
        package) packages+=(adduser build-essential lintian python3 systemd) ;;
        *)
            echo "install-deps: there is no group '$group' (build, prosody, ejabberd, client, lint, count, http2, package)" >&2
            exit 2
            ;;
    esac
done

main() {
    local missing=()
    if ! command -v apt-get >/dev/null; then
        echo "install-deps: no apt-get here; these must be there already: ${packages[*]}" >&2
        return 0
    fi
    local package
    for package in "${packages[@]}"; do
        installed "$package" || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0

    as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        if ! command -v sudo >/dev/null; then
            echo "install-deps: missing: ${missing[*]}" >&2
            echo "install-deps: neither root nor sudo here; as root: apt-get install ${missing[*]}" >&2
            return 1
        fi
        as_root=(sudo)
    fi

    echo "install-deps: installing ${missing[*]} with apt-get${as_root:+, by sudo}"
    case " ${missing[*]} " in *" prosody "* | *" ejabberd "*) no_services ;; esac
    root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 update
    root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 \
        install --no-install-recommends "${missing[@]}" >/dev/null
    # Debian enables a new service for the next boot as well.
    local service
    for service in prosody ejabberd; do
        case " ${missing[*]} " in *" $service "*) disable "$service" ;; esac
    done
}

installed() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

disable() {
    root update-rc.d "$1" disable >/dev/null 2>&1 || true
    root systemctl disable "$1" >/dev/null 2>&1 || true
}

root() {
    "${as_root[@]}" "$@"
}

# Debian starts a service as soon as it is installed. Its own switch against that is a policy file.
no_services() {
    local policy=/usr/sbin/policy-rc.d
    [ ! -e "$policy" ] || return 0
    trap 'root rm -f /usr/sbin/policy-rc.d' EXIT
    printf '#!/bin/sh\nexit 101\n' | root tee "$policy" >/dev/null
    root chmod 755 "$policy"
}

main
