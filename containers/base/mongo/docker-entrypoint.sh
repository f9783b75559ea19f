#!/bin/bash
# What Causeway uses of the official mongo image's entry point:
#   MONGO_INITDB_ROOT_USERNAME[_FILE], MONGO_INITDB_ROOT_PASSWORD[_FILE], MONGO_INITDB_DATABASE,
#   /docker-entrypoint-initdb.d/*.{js,sh}, data in /data/db, `--auth` once there is a root user.
# One difference: an initialisation that was killed half way starts again from nothing, where
# the official image would keep a database without users.
set -Eeuo pipefail

if [ "${1:0:1}" = "-" ]; then
  set -- mongod "$@"
fi
if [ "$1" != mongod ]; then
  exec "$@"
fi
if [ "$(id -u)" = 0 ]; then
  chown mongodb:mongodb /data/db /data/configdb
  exec setpriv --reuid=mongodb --regid=mongodb --init-groups "$0" "$@"
fi

# file_env NAME: the value of NAME, or the content of the file that NAME_FILE names.
file_env() {
  local name=$1 file_name="${1}_FILE"
  if [ -n "${!name:-}" ] && [ -n "${!file_name:-}" ]; then
    echo >&2 "error: both $name and $file_name are set; set one"
    exit 1
  fi
  if [ -n "${!file_name:-}" ]; then
    printf '%s' "$(<"${!file_name}")"
  else
    printf '%s' "${!name:-}"
  fi
}

username=$(file_env MONGO_INITDB_ROOT_USERNAME)
password=$(file_env MONGO_INITDB_ROOT_PASSWORD)
if { [ -n "$username" ] && [ -z "$password" ]; } || { [ -z "$username" ] && [ -n "$password" ]; }; then
  echo >&2 "error: MONGO_INITDB_ROOT_USERNAME and MONGO_INITDB_ROOT_PASSWORD go together"
  exit 1
fi

unfinished=/data/db/.initialising
if [ -e "$unfinished" ]; then
  echo >&2 "an earlier initialisation did not finish: starting again"
  find /data/db -mindepth 1 -delete
fi

if [ -n "$username" ] && [ ! -e /data/db/WiredTiger ]; then
  touch "$unfinished"
  # Only this container can reach it while there is no user yet.
  mongod --dbpath /data/db --bind_ip 127.0.0.1 --port 27017 >/tmp/initdb.log 2>&1 &
  server=$!
  until (exec 3<>/dev/tcp/127.0.0.1/27017) 2>/dev/null; do
    if ! kill -0 "$server" 2>/dev/null; then
      cat /tmp/initdb.log >&2
      echo >&2 "error: mongod ended while it was being initialised"
      exit 1
    fi
    sleep 0.2
  done
  # Credentials go through standard input: arguments are visible to every process.
  js_string() { local s=${1//\\/\\\\}; s=${s//\"/\\\"}; printf '"%s"' "${s//$'\n'/\\n}"; }
  mongosh --quiet admin >/dev/null <<-JS
	db.createUser({user: $(js_string "$username"), pwd: $(js_string "$password"), roles: ["root"]});
	JS
  for script in /docker-entrypoint-initdb.d/*; do
    case "$script" in
      *.js) echo "running $script"; mongosh --quiet "${MONGO_INITDB_DATABASE:-test}" "$script" ;;
      *.sh) echo "running $script"; bash "$script" ;;
    esac
  done
  kill -TERM "$server"
  wait "$server" || true
  rm -f "$unfinished" /tmp/initdb.log
fi

if [ -n "$username" ]; then
  set -- "$@" --auth
fi
case " $* " in
  *" --bind_ip"*) ;;
  *) set -- "$@" --bind_ip_all ;;
esac
exec "$@"
