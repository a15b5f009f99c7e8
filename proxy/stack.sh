# A whole Sluis for demonstration, tests and benchmarks: certificates, secrets, policy and sluis.yaml in one
# folder, and the processes of gateway and simulator. Shell functions, to be sourced. Ends only
# what it started. Used by proxy/run, tests/clients/run, tests/system and tests/bench.
#
#     dir=build/dev-run bin=build/release/bin
#     source proxy/stack.sh
#     stack_make            # certificates, secrets, ports, sluis.yaml in $dir
#     stack_start_sim       # Graph side, inbox and control of sluis-sim
#     stack_start_sluis     # until it answers
#     token=$(stack_token webcare)
#     stop_all
SLUIS_TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bin=$(realpath "${bin:-$SLUIS_TOP/build/dev/bin}") # the programs; made absolute, for we change folder
declare -A started=()

# ---- processes ----

# start NAME COMMAND...: in the background, output to $dir/NAME.log
start() {
    local name=$1
    shift
    "$@" >>"$dir/$name.log" 2>&1 </dev/null &
    started[$name]=$!
    disown $! # no word from the shell when it is killed
}

pid_of() { echo "${started[$1]:-}"; }

# stop NAME [SIGNAL]: and waits until it is gone
stop() {
    local pid=${started[$1]:-}
    [ -n "$pid" ] || return 0
    unset "started[$1]"
    kill "-${2:-TERM}" "$pid" 2>/dev/null
    local end=$((SECONDS + STACK_PATIENCE))
    while kill -0 "$pid" 2>/dev/null && [ $SECONDS -lt $end ]; do sleep 0.05; done
    kill -KILL "$pid" 2>/dev/null
    return 0
}

stop_all() {
    local name
    for name in "${!started[@]}"; do stop "$name"; done
}

# free_ports N: so many ports that nobody listens on, and that no other script of this user was given: not among the
# ports that the kernel gives to whoever calls somewhere, for such a call may take one just before it is listened on,
# or while what listens there starts again.
free_ports() {
    python3 - "$1" "$$" "${TMPDIR:-/tmp}/sluis-ports-$(id -u)" <<'END'
import fcntl, os, random, socket, sys
wanted, owner, file = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
try:
    low, high = map(int, open("/proc/sys/net/ipv4/ip_local_port_range").read().split())
except OSError:
    low, high = 32768, 60999
ports = [p for p in range(10240, 65000) if not low <= p <= high] or list(range(10240, 65000))

def alive(pid):
    return os.path.exists("/proc/%d" % pid)

def is_free(port):
    with socket.socket() as s:
        try:
            s.bind(("", port))
        except OSError:
            return False
    return True

with os.fdopen(os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600), "r+") as claims:
    fcntl.flock(claims, fcntl.LOCK_EX)
    taken = dict(map(int, line.split()) for line in claims.read().splitlines() if line.count(" ") == 1)
    taken = {port: pid for port, pid in taken.items() if alive(pid)}
    got = []
    for port in random.sample(ports, len(ports)):
        if len(got) < wanted and port not in taken and is_free(port):
            got.append(port)
            taken[port] = owner
        if len(got) == wanted:
            break
    claims.seek(0)
    claims.truncate()
    claims.writelines("%d %d\n" % claim for claim in taken.items())
print(*got)
END
}
free_port() { free_ports 1; }

# Waiting ends when what is waited for is there; how long at most matters only where something is broken. Tests set
# STACK_PATIENCE, the least of those limits, high: a machine may be slow, or have others to serve.
STACK_PATIENCE=${STACK_PATIENCE:-15}
limit_of() { echo $((SECONDS + ($1 > STACK_PATIENCE ? $1 : STACK_PATIENCE))); }

# wait_for FILE WORD [SECONDS]: until the file has the word
wait_for() {
    local end
    end=$(limit_of "${3:-15}")
    until grep -q -- "$2" "$1" 2>/dev/null; do
        [ $SECONDS -lt "$end" ] || break
        sleep 0.05
    done
    grep -q -- "$2" "$1" 2>/dev/null && return 0
    echo "waited in vain for '$2' in $(basename "$1"):"
    tail -n 20 "$1"
    return 1
}

# until_true SECONDS COMMAND...: tries until it succeeds; the last time, in vain, what it says is to be seen
until_true() {
    local end
    end=$(limit_of "$1")
    shift
    until "$@" >/dev/null 2>&1; do
        if [ $SECONDS -ge "$end" ]; then
            "$@"
            return
        fi
        sleep 0.05
    done
}

# ---- the folder ----

PHONE_ID=106540352242922 WABA_ID=102290129340398

# Ports of the folder. Set STACK_PORTS="meta tools admin graph inbox inbox_tls control" to choose.
stack_ports() {
    read -r PORT_META PORT_TOOLS PORT_ADMIN PORT_GRAPH PORT_INBOX PORT_INBOX_TLS PORT_CONTROL \
        <<<"${STACK_PORTS:-$(free_ports 7)}"
    URL_META=https://localhost:$PORT_META/webhook/gemeente
    URL_TOOLS=https://localhost:$PORT_TOOLS
    URL_ADMIN=https://localhost:$PORT_ADMIN
    URL_CONTROL=http://localhost:$PORT_CONTROL/sim
}

stack_secret() { # stack_secret NAME: a random one, made once
    [ -s "$dir/credentials/$1" ] || openssl rand -hex "${2:-24}" >"$dir/credentials/$1"
}

stack_policy() {
    cat <<'END'
policy: 1
name: gemeente
activity: klantvragen-whatsapp
controller: {name: Gemeente Voorbeeld, dpo: fg@gemeente.example}
detect: {default: {from: 0.70}, bsn: {from: 0.50}}
profiles:
  webcare: {default: redact, iban: {partial: {last: 4}}, phone: keep, email: keep}
originals:
  - {found: [pan, secret], keep: never, ground: PCI DSS 3.3.1}
  - {found: bsn, keep: 24h, ground: Wabb art. 10}
  - {keep: 24h, ground: AVG 6.1.e}
history:
  - {kind: media, keep: 7d, ground: AVG 6.1.e}
  - {keep: 1y, ground: AVG 6.1.e, selection: "Selectielijst 2020"}
log: {keep: 2y}
routes: {webcare: {profile: webcare}, second: {profile: webcare}}
outbound: {found: {bsn: refuse, pan: refuse}}
END
}

# STACK_ROUTES: how many routes to the simulated inbox (1).
stack_routes() {
    local n=${STACK_ROUTES:-1} name
    [ "$n" -gt 0 ] || printf ' {}'
    for name in webcare second; do
        [ "$n" -gt 0 ] || break
        n=$((n - 1))
        printf '\n      %s: {url: "%s", secret: {file: credentials/route-secret}}' "$name" \
            "${STACK_INBOX_URL:-http://127.0.0.1:$PORT_INBOX/webhooks/whatsapp/+31201234567}"
    done
}

stack_config() {
    cat <<END
listeners:
  meta:  {address: "127.0.0.1:$PORT_META",  certificate: certs/meta.pem,  key: {file: certs/meta-key.pem}${STACK_MTLS:+, client_ca: certs/ca.pem, client_cn: client.webhooks.fbclientcerts.com}${STACK_CONNECTIONS:+, connections: $STACK_CONNECTIONS}}
  tools: {address: "127.0.0.1:$PORT_TOOLS", certificate: certs/tools.pem, key: {file: certs/tools-key.pem}, names: [localhost, sluis.intern, graph.facebook.com, lookaside.fbsbx.com]}
  admin: {address: "127.0.0.1:$PORT_ADMIN", certificate: certs/tools.pem, key: {file: certs/tools-key.pem}}
apps:
  gemeente: {verify_token: {file: credentials/verify}, app_secrets: [{file: credentials/app-secret}]}
channels:
  burgerzaken:
    app: gemeente
    phone_number_id: "$PHONE_ID"
    waba_id: "$WABA_ID"
    upstream:
      kind: meta
      base_url: "https://localhost:$PORT_GRAPH"
      ca: certs/ca.pem
      private: true
      access_token: {file: credentials/meta-token}
    policy: gemeente${STACK_MEDIA:+
    media: $STACK_MEDIA}
    routes:$(stack_routes)
store: {path: store, size: ${STACK_STORE_SIZE:-1GiB}, preallocate: ${STACK_PREALLOCATE:-false}}
keys:  {path: keys, root: {file: credentials/root-key}}
control: control.sock
${STACK_EXTRA:-}
END
}

stack_make() {
    umask 077
    mkdir -p "$dir/credentials" "$dir/policies" "$dir/store" "$dir/keys"
    dir=$(cd "$dir" && pwd)
    "$SLUIS_TOP/certs/make-dev" "$dir/certs" >/dev/null || return 1
    stack_secret app-secret
    stack_secret verify
    stack_secret route-secret
    stack_secret root-key 32
    stack_secret meta-token
    stack_ports
    stack_policy >"$dir/policies/gemeente.yaml"
    stack_config >"$dir/sluis.yaml"
    CA=$dir/certs/ca.pem
}

# ---- the programs ----

sluis() { "$bin/sluis" "$@"; }
sim() { "$bin/sluis-sim" "$@"; }

# The folder is the working folder, so that sluis.yaml's relative paths hold whatever they are relative to.
stack_start_sluis() {
    if [ ! -e "$dir/keys/.made" ]; then
        (cd "$dir" && sluis keys init -c sluis.yaml) >>"$dir/sluis.log" 2>&1 && : >"$dir/keys/.made"
    fi
    start sluis env -C "$dir" ${STACK_WORKER:+SLUIS_MEDIA="$STACK_WORKER"} ${STACK_TASKSET:+taskset -c "$STACK_TASKSET"} "$bin/sluis" serve -c sluis.yaml
    if ! until_true "${1:-15}" stack_settled || ! stack_answers >/dev/null; then
        echo "sluis did not start:" >&2
        tail -n 20 "$dir/sluis.log" >&2
        return 1
    fi
}

# It answers, or it is gone.
stack_settled() { stack_answers || ! kill -0 "$(pid_of sluis)"; }
stack_answers() {
    curl -fsS -m "$STACK_PATIENCE" --cacert "$CA" -G "$URL_META" -d hub.mode=subscribe -d hub.challenge=1158201444 \
        --data-urlencode "hub.verify_token@$dir/credentials/verify-line"
}

stack_start_sim() {
    # curl's name@file keeps the line end; the token without it:
    printf %s "$(cat "$dir/credentials/verify")" >"$dir/credentials/verify-line"
    start sim ${STACK_SIM_TASKSET:+taskset -c "$STACK_SIM_TASKSET"} "$bin/sluis-sim" serve --dir "$dir" \
        --graph "127.0.0.1:$PORT_GRAPH" --graph-cert "$dir/certs/graph.pem" \
        --media-url "https://localhost:$PORT_GRAPH" --graph-key "$dir/certs/graph-key.pem" --token "$dir/credentials/meta-token" \
        --inbox "127.0.0.1:$PORT_INBOX" --inbox-tls "127.0.0.1:$PORT_INBOX_TLS" \
        --inbox-cert "$dir/certs/inbox.pem" --inbox-key "$dir/certs/inbox-key.pem" \
        --inbox-secret "$dir/credentials/route-secret" --control "127.0.0.1:$PORT_CONTROL" \
        --webhook "$URL_META" --app-secret "$dir/credentials/app-secret" --ca "$CA" \
        ${STACK_MTLS:+--client-cert "$dir/certs/client.pem" --client-key "$dir/certs/client-key.pem"} \
        ${STACK_SIM_AHEAD:+--ahead "$STACK_SIM_AHEAD"} ${STACK_IDS_ONLY:+--ids-only} ${STACK_MEDIA_FILES:+--media-files "$STACK_MEDIA_FILES"}
    wait_for "$dir/sim.log" ready
}

# stack_token NAME: a new token for the channel, on standard output
stack_token() {
    (cd "$dir" && sluis token add -c sluis.yaml --name "$1" --channel burgerzaken --route webcare) |
        grep -o 'sluis_[A-Za-z0-9_-]*' | head -n 1
}

# stack_send FILE.sim...: a conversation as WhatsApp
stack_send() {
    sim send --url "$URL_META" --secret "$dir/credentials/app-secret" --ca "$CA" \
        ${STACK_MTLS:+--client-cert "$dir/certs/client.pem" --client-key "$dir/certs/client-key.pem"} \
        --record "$dir/webhooks.jsonl" "$@"
}

# How many messages the inbox has taken (answered 200).
stack_inbox_count() {
    [ -f "$dir/inbox.jsonl" ] || { echo 0; return; }
    grep -c '"status":200' "$dir/inbox.jsonl"
}
stack_inbox_has() { [ "$(stack_inbox_count)" -ge "$1" ]; }
