#!/usr/bin/env bash
# Set-up for `make run` and `make test`, on a fresh Debian 12 with Python 3.11, Node 20 and make.
# Every step is skipped when its result is there. Usage: bootstrap.sh server|test|lock
#   server  what the application needs: database packages, .venv, the front end's build
#   test    that, and a browser
#   lock    uv only
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
goal=${1:?server, test or lock}
python=$(command -v python3.11 || command -v python3 || true)
mkdir -p var/stamps
chmod 711 var

refuse() { echo "$*" >&2; exit 1; }

hash_of() { cat -- "$@" | sha256sum | cut -d' ' -f1; }

# --- Debian packages -------------------------------------------------------------------------

postgres_version() {
  local folder
  folder=$(pg_config --bindir 2>/dev/null || true)
  [ -x "$folder/initdb" ] || folder=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
  [ -x "$folder/initdb" ] && basename "$(dirname "$folder")"
}

missing_packages() {
  local version
  version=$(postgres_version || true)
  [ -n "$version" ] || echo postgresql
  [ -e "/usr/share/postgresql/${version:-15}/extension/postgis.control" ] ||
    echo "postgresql-${version:-15}-postgis-3"
  command -v redis-server >/dev/null || echo redis-server
  # a layer around the conversion of uploads; without it the health page says so
  [ "$(id -u)" != 0 ] || command -v bwrap >/dev/null || echo bubblewrap
  [ "$goal" != test ] || [ -x /usr/bin/chromium ] || echo chromium
  "$python" -c 'import ensurepip, venv' 2>/dev/null || command -v uv >/dev/null || echo python3-venv
}

# Packages only: no cluster is made, nothing is started, no server that was there is touched.
install_packages() {
  local policy=/usr/sbin/policy-rc.d clusters=/etc/postgresql-common/createcluster.d
  local kept=$policy.before-unosat mark='# put here by unosat for the time of one installation'
  if [ -e $policy ] && ! grep -q "$mark" $policy; then mv $policy $kept; fi
  trap "rm -f $policy $clusters/unosat.conf; [ ! -e $kept ] || mv $kept $policy" EXIT
  printf '#!/bin/sh\n%s\nexit 101\n' "$mark" >$policy
  chmod 755 $policy
  mkdir -p $clusters
  echo 'create_main_cluster = false' >$clusters/unosat.conf
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends "$@" >var/apt.log 2>&1 ||
    { tail -n 20 var/apt.log >&2; refuse "apt-get could not install: $*"; }
}

packages() {
  local missing
  missing=$(missing_packages | tr '\n' ' ')
  [ -n "$missing" ] || return 0
  [ "$(id -u)" = 0 ] || refuse "Packages are missing. Install them first: apt-get install $missing"
  echo "Installing Debian packages: $missing"
  # shellcheck disable=SC2086  # one word per package
  (install_packages $missing)
}

# --- Python ----------------------------------------------------------------------------------

find_uv() {
  command -v uv && return
  if [ ! -x var/uv/bin/uv ]; then
    "$python" -m venv var/uv >&2
    var/uv/bin/python -m pip install -q --require-hashes -r requirements/boot.lock >&2
  fi
  echo var/uv/bin/uv
}

python_packages() {
  local wanted
  wanted=$(hash_of requirements/dev.lock)
  [ "$(cat .venv/installed 2>/dev/null)" != "$wanted" ] || return 0
  "$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null ||
    refuse "Python 3.11 is needed, and python3 is not that."
  local uv
  uv=$(find_uv)
  echo "Installing Python packages into .venv"
  [ -x .venv/bin/python ] || "$uv" venv -q --python "$python" --no-python-downloads .venv
  "$uv" pip sync -q --python .venv/bin/python --require-hashes requirements/dev.lock
  echo "$wanted" >.venv/installed
}

# --- front end -------------------------------------------------------------------------------

front_end() {
  command -v npm >/dev/null || refuse "Node 20 with npm is needed for the map."
  local packages sources
  packages=$(hash_of frontend/package.json frontend/package-lock.json)
  if [ "$(cat frontend/node_modules/.installed 2>/dev/null)" != "$packages" ]; then
    echo "Installing front-end packages"
    (cd frontend && npm ci --no-audit --no-fund --no-update-notifier --loglevel=error >/dev/null)
    echo "$packages" >frontend/node_modules/.installed
  fi
  sources=$(cd frontend && find . -path ./node_modules -prune -o -path ./dist -prune -o -type f -print0 |
    sort -z | xargs -0 sha256sum | sha256sum | cut -d' ' -f1)
  if [ ! -d frontend/dist ] || [ "$(cat var/stamps/front_end 2>/dev/null)" != "$sources" ]; then
    echo "Building the front end"
    (cd frontend && npm run --silent build -- --logLevel error)
    echo "$sources" >var/stamps/front_end
  fi
}

if [ "$goal" = lock ]; then
  exec .venv/bin/python -m unosat.ops.locks write "$(find_uv)"
fi
packages
python_packages
front_end
