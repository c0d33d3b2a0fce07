#!/bin/sh
# Unpacks the OpenSSH of a Debian suite: newer-openssh.sh PLACE ARCHIVE SUITE LIBRARIES. Afterwards PLACE/bin has its programs; nothing is
# installed, and no file of apt's own is touched. With LIBRARIES=own they run with that suite's libraries, with LIBRARIES=ours
# with this machine's. Called with a lock held, since tests in other processes want the same.
set -eu
place=$1 archive=$2 suite=$3 libraries=$4
[ ! -e "$place" ] || exit 0

work=$place.new
rm -rf "$work"
mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/debs" "$work/root" "$work/bin"
: >"$work/status"
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
signed=
[ ! -e "$keyring" ] || signed="[signed-by=$keyring]"
echo "deb $signed $archive $suite main" >"$work/sources.list"

# An index, a list of what is installed (nothing) and a cache of its own; the mirror, the proxy and the keys are the machine's.
apt() {
  apt-get -q -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts=/dev/null \
    -o Dir::State::lists="$work/lists" -o Dir::State::status="$work/status" -o Dir::Cache="$work/cache" \
    -o APT::Sandbox::User= -o Acquire::Languages=none -o Acquire::http::Timeout=20 -o Acquire::Retries=1 "$@"
}
apt update

names='openssh-client openssh-server openssh-sftp-server'
if [ "$libraries" = own ]; then
  # All that they depend on, less what only an installed server needs.
  names=$(apt install -y --print-uris --no-install-recommends openssh-client openssh-server |
    sed -n "s/^'.*' \([^_ ]*\)_[^ ]*\.deb .*/\1/p" | grep -E '^(openssh-.*|lib.*|zlib1g)$' |
    grep -vE '^(libpam-|libtext-|libc-gconv|libsystemd-shared)')
fi
cd "$work/debs"
# shellcheck disable=SC2086
apt download $names
for deb in *.deb; do dpkg-deb -x "$deb" "$work/root"; done

start=
if [ "$libraries" = own ]; then
  loader=$(find "$work/root/usr/lib" -name 'ld-linux*' -path '*-linux-gnu*/*' | head -n 1)
  loader=$place${loader#"$work"}
  start="'$loader' --library-path '${loader%/*}' "
fi
for program in "$work"/root/usr/bin/s* "$work"/root/usr/sbin/sshd "$work"/root/usr/lib/openssh/s*; do
  [ -f "$program" ] && [ ! -L "$program" ] || continue
  wrapper=$work/bin/${program##*/}
  printf '#!/bin/sh\nexec %s"%s" "$@"\n' "$start" "$place${program#"$work"}" >"$wrapper"
  chmod 755 "$wrapper"
done
rm -rf "$work/debs" "$work/lists" "$work/cache"
mv -T "$work" "$place"
