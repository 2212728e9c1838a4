#!/bin/sh
# Install the system packages of the tests: those that the roles install on hosts, those that build test hosts, and clients.
set -eu
wanted=""
for each in haproxy:/usr/sbin/haproxy supervisor:/usr/bin/supervisord bubblewrap:/usr/bin/bwrap nftables:/usr/sbin/nft \
    python3-seccomp:/var/lib/dpkg/info/python3-seccomp.list libnuma1:/usr/lib/x86_64-linux-gnu/libnuma.so.1 \
    mmdebstrap:/usr/bin/mmdebstrap iproute2:/usr/sbin/ip openssh-client:/usr/bin/ssh util-linux:/usr/bin/nsenter \
    openssl:/usr/bin/openssl rsync:/usr/bin/rsync curl:/usr/bin/curl chromium:/usr/bin/chromium \
    prometheus:/usr/bin/promtool prometheus-alertmanager:/usr/bin/prometheus-alertmanager \
    prometheus-node-exporter:/usr/bin/prometheus-node-exporter; do
    [ -e "${each#*:}" ] || wanted="$wanted ${each%%:*}"
done
command -v npm >/dev/null || wanted="$wanted nodejs npm"
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || wanted="$wanted postgresql"
[ -n "$wanted" ] || exit 0
sudo=""
[ "$(id -u)" = 0 ] || sudo="sudo"
$sudo apt-get update -qq
# shellcheck disable=SC2086
$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $wanted
