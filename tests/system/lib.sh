# Checks with counts for the system tests, on top of proxy/stack.sh. Source it with $dir set to a folder of
# the test's own.
STACK_PATIENCE=60
source "$(dirname "${BASH_SOURCE[0]}")/../../proxy/stack.sh"
checks=0 failures=0

verdict() { # verdict GOOD TEXT
    checks=$((checks + 1))
    if [ "$1" = 1 ]; then
        printf '  ok    %s\n' "$2"
    else
        failures=$((failures + 1))
        printf '  FAIL  %s\n' "$2"
    fi
}

# What a check that failed ran, how that ended, how long it took (a wait that was in vain shows) and what it said: CI shows
# no more of a failure than this and the logs below.
tell() { # tell CODE SECONDS COMMAND...
    local ran="${*:3}"
    ran=${ran//$'\n'/ }
    printf '        ran: %.400s\n        exit code %s after %s s%s\n' "$ran" "$1" "$2" \
        "$([ -s "$dir/check.out" ] && echo ', it said:')"
    tail -n 15 "$dir/check.out" | cut -c1-400 | sed 's/^/        | /'
}

# check TEXT COMMAND...: must succeed.  refuse TEXT COMMAND...: must fail.
check() {
    local text=$1 began=$SECONDS code
    shift
    "$@" >"$dir/check.out" 2>&1
    code=$?
    verdict "$((code == 0))" "$text"
    [ "$code" = 0 ] || tell "$code" $((SECONDS - began)) "$@"
}
refuse() {
    local text=$1 began=$SECONDS code
    shift
    "$@" >"$dir/check.out" 2>&1
    code=$?
    verdict "$((code != 0))" "$text"
    [ "$code" != 0 ] || tell 0 $((SECONDS - began)) "$@"
}

# The ends of what the programs logged.
show_logs() {
    local log
    for log in "$dir"/sluis.log "$dir"/[!s]*.log "$dir"/s[!l]*.log; do
        [ -s "$log" ] || continue
        printf '  ---- the end of %s:\n' "${log##*/}"
        grep -av '^recovery secret' "$log" | tail -n 30 | cut -c1-300 | sed 's/^/  | /'
    done
}

# A test that hangs says where before ctest ends it ($SLUIS_TEST_LIMIT, seconds), and stops what it started. It looks
# from beside, for a shell that waits for a program hears nothing; and it holds no pipe of the test's.
if [ -n "${SLUIS_TEST_LIMIT:-}" ]; then
    (
        exec >/dev/null 2>&1 </dev/null
        while kill -0 $$ && [ $SECONDS -lt "$SLUIS_TEST_LIMIT" ]; do sleep 1; done
        kill -0 $$ || exit 0
        {
            echo "  FAIL  it takes longer than $SLUIS_TEST_LIMIT s; what runs:"
            ps -o pid,etimes,args --ppid $$ | cut -c1-200
            show_logs
        } >"/proc/$$/fd/1"
        kill -TERM $$
        pkill -TERM -P $$
    ) &
    disown $!
fi

# The last line and the exit code of a test.
summary() {
    stop_all
    if grep -lE 'ERROR: (Address|Leak|Thread)Sanitizer|WARNING: ThreadSanitizer|runtime error:' "$dir"/*.log; then
        verdict 0 "no sanitizer spoke up"
        grep -hE -A 25 'Sanitizer|runtime error:' "$dir"/*.log | head -n 60
    fi
    [ "$failures" -eq 0 ] || show_logs
    printf '%d checks, %d failed\n' "$checks" "$failures"
    [ "$failures" -eq 0 ] && [ "$checks" -gt 0 ]
}
