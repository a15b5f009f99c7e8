# Shell helpers of the system tests: processes, ports, checks with counts. Source it with $dir set to a
# folder of the test's own. Ends only what it started.
SLUIS_TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
checks=0 failures=0
declare -A started=()

# start NAME COMMAND...: in the background, output to $dir/NAME.log
start() {
    local name=$1
    shift
    "$@" >"$dir/$name.log" 2>&1 </dev/null &
    started[$name]=$!
}

pid_of() { echo "${started[$1]}"; }

# stop NAME [SIGNAL]
stop() {
    local pid=${started[$1]:-}
    [ -n "$pid" ] || return 0
    unset "started[$1]"
    kill "-${2:-TERM}" "$pid" 2>/dev/null
    for _ in $(seq 100); do
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.1
    done
    kill -KILL "$pid" 2>/dev/null
    wait "$pid" 2>/dev/null
}

stop_all() {
    local name
    for name in "${!started[@]}"; do stop "$name"; done
}

# A port that nobody listens on now; the kernel hands out another each time.
free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# wait_for FILE WORD [SECONDS]: until the file has the word
wait_for() {
    for _ in $(seq $((${3:-15} * 20))); do
        grep -q -- "$2" "$1" 2>/dev/null && return 0
        sleep 0.05
    done
    echo "waited in vain for '$2' in $(basename "$1"):"
    tail -n 20 "$1"
    return 1
}

# until_true SECONDS COMMAND...: tries until it succeeds
until_true() {
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.1
    done
}

verdict() { # verdict GOOD TEXT
    checks=$((checks + 1))
    if [ "$1" = 1 ]; then
        printf '  ok    %s\n' "$2"
    else
        failures=$((failures + 1))
        printf '  FAIL  %s\n' "$2"
    fi
}

# check TEXT COMMAND...: must succeed.  refuse TEXT COMMAND...: must fail.
check() {
    local text=$1
    shift
    if "$@" >"$dir/check.out" 2>&1; then
        verdict 1 "$text"
    else
        verdict 0 "$text"
        tail -n 15 "$dir/check.out"
    fi
}
refuse() {
    local text=$1
    shift
    if "$@" >"$dir/check.out" 2>&1; then
        verdict 0 "$text"
        tail -n 15 "$dir/check.out"
    else
        verdict 1 "$text"
    fi
}

# The last line and the exit code of a test.
summary() {
    printf '%d checks, %d failed\n' "$checks" "$failures"
    [ "$failures" -eq 0 ] && [ "$checks" -gt 0 ]
}
