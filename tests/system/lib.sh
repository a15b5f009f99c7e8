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
    stop_all
    if grep -lE 'ERROR: (Address|Leak|Thread)Sanitizer|WARNING: ThreadSanitizer|runtime error:' "$dir"/*.log; then
        verdict 0 "no sanitizer spoke up"
        grep -hE -A 25 'Sanitizer|runtime error:' "$dir"/*.log | head -n 60
    fi
    printf '%d checks, %d failed\n' "$checks" "$failures"
    [ "$failures" -eq 0 ] && [ "$checks" -gt 0 ]
}
