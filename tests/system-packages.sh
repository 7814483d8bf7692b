#!/bin/sh
# Install the system packages that tests and benchmarks use, where they are absent. What cannot be installed is said in
# one line; the tests that need it say so again when they are skipped or fail.
missing=""
command -v chromium >/dev/null 2>&1 || missing="$missing chromium"
command -v wrk >/dev/null 2>&1 || missing="$missing wrk"
PATH="$PATH:/usr/sbin:/sbin" command -v nginx >/dev/null 2>&1 || missing="$missing nginx"
[ -z "$missing" ] && exit 0
if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
  # Debian starts a server as soon as it is installed, unless this program says no (101). One that is there stays.
  policy=/usr/sbin/policy-rc.d
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy" && trap 'rm -f "$policy"' EXIT
  fi
  apt-get update -qq >/dev/null 2>&1
  for package in $missing; do
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$package" >/dev/null 2>&1 ||
      echo "Could not install $package."
  done
else
  echo "Not installed (install them yourself):$missing"
fi
exit 0
