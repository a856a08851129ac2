#!/bin/sh
# The programs that the tests talk to: archives, DICOM tools and checkers. Installs what is missing where that is
# allowed (Debian, as root or with a sudo that asks nothing); elsewhere says so, and the tests skip what needs them.
set -u
missing=
want() { [ -e "$1" ] || missing="$missing $2"; }
want /usr/sbin/Orthanc orthanc
want /usr/share/orthanc/plugins/libOrthancDicomWeb.so orthanc-dicomweb
want /usr/share/orthanc/plugins/libOrthancGdcm.so orthanc-gdcm
want /usr/bin/storescp dcmtk
want /usr/bin/dciodvfy dicom3tools
want /usr/bin/chromium chromium
want /usr/bin/chromedriver chromium-driver
want /usr/bin/node nodejs
want /usr/bin/Xvfb xvfb
want /usr/bin/xdotool xdotool
want /usr/bin/xmllint libxml2-utils
want /usr/sbin/rsyslogd rsyslog
want "$(echo /usr/lib/*/rsyslog/lmnsd_ossl.so)" rsyslog-openssl
want /usr/bin/promtool prometheus
want /usr/bin/systemd-analyze systemd
want /usr/bin/unshare util-linux
want /usr/bin/openssl openssl
[ -z "$missing" ] && exit 0
if [ "$(id -u)" = 0 ]; then as_root=; else as_root="sudo -n"; fi
if ! command -v apt-get >/dev/null 2>&1 || ! $as_root true 2>/dev/null; then
    echo "not installed:$missing (no Debian, or no right to install): tests that need them are skipped" >&2
    exit 0
fi
# Orthanc must not start as a service here: the tests start their own.
$as_root sh -c 'apt-get update -qq && DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq \
    --no-install-recommends '"$missing"' >/dev/null' ||
    echo "could not install:$missing: tests that need them are skipped" >&2
