#!/usr/bin/env bash
# Runs commands side by side, each under a title, and shows that they go on: on a terminal one live
# line, elsewhere a line every ten seconds. What a command prints goes to target/log; its last line is
# shown while it runs, and the part that matters when it fails. A step that is over in three seconds is
# worth no line. Of its output, lines that begin with "note:" are shown when it is over.
#
#   scripts/steps.sh TITLE COMMAND… [::: TITLE COMMAND…]…
#   scripts/steps.sh --took TITLE     how many seconds it took the last time
#
# Exit codes: 0 all ended well; otherwise that of the first that didn't, when the others were stopped.
set -Eeuo pipefail
cd "$(dirname "$0")/.."
logs=${CARGO_TARGET_DIR:-target}/log
mkdir -p "$logs"
# It ends with its caller, and its commands with it.
if [ "${1:-}" != --took ] && [ "${STEPS_TIED:-}" != $$ ]; then
  STEPS_TIED=$$ exec setpriv --pdeathsig TERM "$0" "$@"
fi
titles=() pids=() starts=() files=() said=0 terminal=''
[ -t 1 ] && terminal=yes

log_of() { echo "$logs/$(tr -cs '[:alnum:]' - <<<"$1" | sed 's/-*$//').log"; }
if [ "${1:-}" = --took ]; then
  sed -n '$ s/^took \([0-9]*\) s$/\1/p' "$(log_of "$2")"
  exit
fi

start() {
  local title=$1 file
  shift
  # Somebody else may be at the same step: it gets its name when it is over.
  file=$(log_of "$title").$$
  # A process group of its own: Ctrl-C is for this script, which then ends it.
  setsid setpriv --pdeathsig TERM "$@" >"$file" 2>&1 </dev/null &
  titles+=("$title") pids+=($!) starts+=("$SECONDS") files+=("$file")
}

stop() {
  local pid
  for pid in "${pids[@]}"; do kill -TERM -- "-$pid" 2>/dev/null || true; done
  wait
  rm -f "$logs"/*".log.$$"
}
trap 'clear_line; stop; echo "interrupted; the same command goes on from here" >&2; exit 130' INT TERM HUP

clear_line() { [ -z "$terminal" ] || printf '\r\033[K'; }
line() { clear_line; printf '%s\n' "$1"; said=$SECONDS; }
took() { if [ "$1" -lt 60 ]; then echo "${1}s"; else printf '%dm%02ds\n' $(($1 / 60)) $(($1 % 60)); fi; }
plain() { sed 's/\x1b\[[0-9;]*[A-Za-z]//g; s/.*\r//; s/^[[:space:]]*//; s/[[:cntrl:]]//g'; }
# What the command says it is at.
at() { tail -c 2000 "${files[$1]}" | plain | grep -v '^$' | tail -n 1 | cut -c 1-"$2"; }

show() {
  local i parts=() width
  if [ -z "$terminal" ]; then
    [ $((SECONDS - said)) -ge 10 ] || return 0
    for i in "$@"; do line "${titles[i]}: $(at "$i" 90) ($(took $((SECONDS - starts[i]))))"; done
    return
  fi
  width=$(($(tput cols 2>/dev/null || echo 80) / $# - 4))
  for i in "$@"; do
    parts+=("$(cut -c 1-"$width" <<<"${titles[i]} $(took $((SECONDS - starts[i]))): $(at "$i" 60)")")
  done
  clear_line
  printf '%s' "$(printf ' · %s' "${parts[@]}" | cut -c 4-)"
}

# The first error and what follows it, or the last lines.
matters() {
  local first
  first=$(plain <"$1" | grep -niE '^(error|e:|.*: error:|fatal)' | head -n 1 | cut -d: -f1 || true)
  plain <"$1" | if [ -n "$first" ]; then tail -n "+$first" | head -n 30; else tail -n 20; fi
}

title=''
command=()
for word in "$@" :::; do
  if [ "$word" = ::: ]; then
    [ -z "$title" ] || start "$title" "${command[@]}"
    title='' command=()
  elif [ -z "$title" ]; then
    title=$word
  else
    command+=("$word")
  fi
done

running=("${!pids[@]}")
while [ ${#running[@]} -gt 0 ]; do
  left=()
  for i in "${running[@]}"; do
    if kill -0 "${pids[i]}" 2>/dev/null; then
      left+=("$i")
      continue
    fi
    status=0
    wait "${pids[i]}" || status=$?
    mv "${files[i]}" "$(log_of "${titles[i]}")"
    files[i]=$(log_of "${titles[i]}")
    seconds=$((SECONDS - starts[i]))
    if [ "$status" != 0 ]; then
      line "${titles[i]}: failed after $(took "$seconds")"
      matters "${files[i]}" | sed 's/^/  /' >&2
      printf '  all of it: %s\n' "${files[i]}" >&2
      stop
      exit "$status"
    fi
    grep '^note: ' "${files[i]}" | while read -r note; do line "$note" >&2; done || true
    echo "took $seconds s" >>"${files[i]}"
    [ "$seconds" -lt 3 ] || line "${titles[i]}: done ($(took "$seconds"))"
  done
  running=("${left[@]}")
  [ ${#running[@]} = 0 ] || show "${running[@]}"
  sleep 0.5
done
clear_line
