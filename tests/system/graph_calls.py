"""The calls of tests/system/graph: every answer is read, and what reached Meta."""
import base64
import http.client
import json
import os
import re
import socket
import ssl
import subprocess
import threading
import time
import urllib.request

env = os.environ
DIR, CA = env["STACK_DIR"], env["CA"]
PHONE, WABA = env["PHONE_ID"], env["WABA_ID"]
ZORG, ZORG_WABA = "106540352242923", "102290129340399"
TOKEN, HIDDEN, TOKEN_ZORG, BOTH = (env[n] for n in ("TOKEN", "TOKEN_HIDDEN", "TOKEN_ZORG", "TOKEN_BOTH"))
META = open(f"{DIR}/credentials/meta-token").read().strip()
CUSTOMER = "31612345678"
trust = ssl.create_default_context(cafile=CA)


def verdict(good, text, detail=""):
    print(f"  {'ok   ' if good else 'FAIL '} {text}" + (f"   {detail}" if not good else ""), flush=True)


class Answer:
    def __init__(self, status, head, body):
        self.status, self.head, self.body = status, head, body
        try:
            self.json = json.loads(body)
        except ValueError:
            self.json = None
        self.code = ((self.json or {}).get("error") or {}).get("code") if isinstance(self.json, dict) else None


def ask(link, method, path, body, head):
    """Head and body in one write: who refuses the head may have closed before a body that comes later."""
    if link.sock is None:
        link.connect()
    pieces = []
    link.send = pieces.append
    link.request(method, path, body, head)
    del link.send
    link.sock.sendall(b"".join(p if isinstance(p, bytes) else p.encode() for p in pieces))


def call(method, path, body=None, token=TOKEN, head=None, host=None, timeout=90):
    head = dict(head or {})
    if token:
        head.setdefault("Authorization", f"Bearer {token}")
    if body is not None and not isinstance(body, (bytes, str)):
        body = json.dumps(body)
        head.setdefault("Content-Type", "application/json")
    if host:
        head["Host"] = host
    raw = socket.create_connection(("127.0.0.1", int(env["PORT_TOOLS"])), timeout)
    name = host.split(":")[0] if host and not host.startswith("evil") else "localhost"
    link = http.client.HTTPSConnection(name, int(env["PORT_TOOLS"]), timeout=timeout)
    link.sock = trust.wrap_socket(raw, server_hostname=name)
    try:
        ask(link, method, path, body, head)
        answer = link.getresponse()
        return Answer(answer.status, answer.headers, answer.read())
    finally:
        link.close()


# What the gateway asks for itself, a minute after its start and every hour: where Meta's callbacks point. No tool's.
OWN = re.compile(r"/v24\.0/\d+(/subscribed_apps|\?fields=webhook_configuration)$")


def graph():
    try:
        lines = [json.loads(line) for line in open(f"{DIR}/graph.jsonl") if line.endswith("\n")]
    except FileNotFoundError:
        return []
    return [g for g in lines if not (g["method"] == "GET" and OWN.fullmatch(g["target"]))]


def leaves():
    out = subprocess.run([env["BIN"] + "/sluis", "audit", "list", "-c", "sluis.yaml"], cwd=DIR, capture_output=True)
    return [json.loads(line)["leaf"] for line in out.stdout.splitlines()]


def faults(settings):
    urllib.request.urlopen(env["URL_CONTROL"] + "/graph/faults", json.dumps(settings).encode()).read()


def refused(text, answer, code=None, status=None):
    good = answer.status >= 400 and 900001 <= (answer.code or 0) <= 900099
    good = good and (code is None or answer.code == code) and (status is None or answer.status == status)
    verdict(good, text, f"{answer.status} {answer.body[:200]!r}")


def nothing_left(text, before):
    now = graph()
    verdict(len(now) == before, text, now[before:][:1])


def message(**more):
    return {"messaging_product": "whatsapp", "to": CUSTOMER, **more}


def text(body, **more):
    return message(type="text", text={"body": body}, **more)


SEND = f"/v24.0/{PHONE}/messages"


# ---- Meta played by the test, for what sluis-sim does not do: bytes on the wire ----
class Peer(threading.Thread):
    def __init__(self):
        super().__init__(daemon=True)
        self.requests, self.answer, self.connections = [], b"", 0
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(f"{DIR}/certs/graph.pem", f"{DIR}/certs/graph-key.pem")
        self.tls = tls
        self.sock = socket.create_server(("127.0.0.1", int(env["PORT_PEER"])))
        self.start()

    def run(self):
        while True:
            raw, _ = self.sock.accept()
            threading.Thread(target=self.serve, args=(raw,), daemon=True).start()

    def serve(self, raw):
        try:
            link = self.tls.wrap_socket(raw, server_side=True)
            pending, asked, counted = b"", False, False
            while True:
                while b"\r\n\r\n" not in pending:
                    more = link.recv(65536)
                    if not more:
                        return
                    pending += more
                head, pending = pending.split(b"\r\n\r\n", 1)
                length = re.search(rb"(?i)content-length: (\d+)", head)
                need = int(length.group(1)) if length else 0
                while len(pending) < need:
                    pending += link.recv(65536)
                method, target, _ = head.decode().split("\r\n")[0].split(" ")
                if method == "GET" and OWN.fullmatch(target):
                    pending = pending[need:]
                    link.sendall(wire(200, {"data": []}))
                    continue
                if not counted:
                    counted, self.connections = True, self.connections + 1
                self.requests.append((head.decode(), pending[:need]))
                pending = pending[need:]
                answer = self.answer
                if answer == "stale":  # a kept connection is dead when it is used again
                    if asked:
                        link.close()
                        return
                    asked, answer = True, wire(200, ACCEPTED)
                if answer == "reset":
                    raw_fd = socket.socket(fileno=os.dup(link.fileno()))
                    raw_fd.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    link.close()
                    raw_fd.close()
                    return
                if answer == "hang":
                    time.sleep(120)
                    return
                link.sendall(answer)
                if b"Connection: close" in answer:
                    link.close()
                    return
        except OSError:
            pass


def wire(status, body, *fields):
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *fields, "", ""]
    return "\r\n".join(lines).encode() + body


peer = Peer()
ACCEPTED = {"messaging_product": "whatsapp", "contacts": [{"input": CUSTOMER, "wa_id": CUSTOMER}],
            "messages": [{"id": "wamid.HBgLMzE2MTIzNDU2NzgVAgARGBI1QTRB"}]}


def zorg(answer, body=None, method="POST", path=None, token=TOKEN_ZORG):
    peer.answer = answer
    before = len(peer.requests)
    got = call(method, path or f"/v24.0/{ZORG}/messages", text("Hallo") if body is None and method == "POST" else body,
               token=token)
    return got, peer.requests[before:]


# A hanging Meta takes 30 s: asked in the background, looked at in the end.
hung = {}


def hang():
    peer.answer = "hang"
    before = len(peer.requests)
    hung["answer"] = call("POST", f"/v24.0/{ZORG}/messages", text("Hangt"), token=TOKEN_ZORG)
    hung["requests"] = [r for r in peer.requests[before:] if b"Hangt" in r[1]]


hanging = threading.Thread(target=hang)
hanging.start()
until = time.time() + 60
while not any(b"Hangt" in r[1] for r in peer.requests) and time.time() < until:
    time.sleep(0.05)

print("tokens")
before = len(graph())
stranger = "sluis_" + "A" * 43
reference = call("POST", SEND, text("x"), token=stranger)
refused("a wrong token", reference, 900001, 401)
expired = []
for name, answer in [
    ("none", call("POST", SEND, text("x"), token=None)),
    ("Meta's own", call("POST", SEND, text("x"), token=META)),
    ("empty", call("POST", SEND, text("x"), token=None, head={"Authorization": "Bearer "})),
    ("Basic", call("POST", SEND, text("x"), token=None, head={"Authorization": "Basic " + TOKEN})),
    ("two that differ, header and query", call("GET", f"/v24.0/{PHONE}?access_token={stranger}")),
    ("two that differ, the other way round", call("GET", f"/v24.0/{PHONE}?access_token={TOKEN}", token=stranger)),
]:
    verdict(answer.status == 401 and answer.body == reference.body, f"token {name}: the same answer as a wrong one",
            answer.body)
verdict(call("GET", f"/v24.0/{PHONE}?access_token={TOKEN}").status == 200, "the same token in header and query is fine")
verdict(call("GET", f"/v24.0/{PHONE}?access_token={TOKEN}", token=None).status == 200, "a token in the query is fine")
refused("a token twice in the query", call("GET", f"/v24.0/{PHONE}?access_token={TOKEN}&access_token={TOKEN}", token=None),
        900004)
nothing_left("of all those two reads reached Meta", before + 2)
verdict(all(TOKEN not in json.dumps(g) and g["authorization"] == f"Bearer {META}" for g in graph()),
        "Meta saw its own token only")

print("objects of others")
before = len(graph())
pairs = [("POST", f"/v24.0/{ZORG}/messages", f"/v24.0/106540352249999/messages", text("x")),
         ("GET", f"/v24.0/{ZORG}", "/v24.0/106540352249999", None),
         ("GET", f"/v24.0/{ZORG_WABA}/message_templates", "/v24.0/102290129349999/message_templates", None),
         ("POST", f"/v24.0/{ZORG_WABA}/subscribed_apps", "/v24.0/102290129349999/subscribed_apps", {}),
         ("POST", f"/v24.0/{ZORG}/register", "/v24.0/106540352249999/register", {}),
         ("POST", f"/v24.0/{ZORG}", "/v24.0/106540352249999", {"webhook_configuration": {}}),
         ("DELETE", f"/v24.0/{ZORG}", "/v24.0/106540352249999", None),
         ("GET", f"/sluis/media/{ZORG}", "/sluis/media/106540352249999", None)]
for method, theirs, unknown, body in pairs:
    a, b = call(method, theirs, body), call(method, unknown, body)
    verdict(a.status >= 400 and (a.status, a.body) == (b.status, b.body), f"{method} {theirs}: as if it did not exist",
            (a.status, a.body, b.status, b.body))
nothing_left("and nothing was asked of Meta", before)

print("numbers of the same account")
a = call("GET", f"/v24.0/{WABA}/phone_numbers")
verdict(a.status == 200 and [n["id"] for n in a.json["data"]] == [PHONE] and "paging" in a.json,
        "a tool sees its own numbers only", a.body)

print("refusals of the listener itself")
raw = trust.wrap_socket(socket.create_connection(("127.0.0.1", int(env["PORT_TOOLS"])), 10), server_hostname="localhost")
raw.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n")
raw.settimeout(60)
got = b""
while part := raw.recv(65536):
    got += part
raw.close()
said = got.partition(b"\r\n\r\n")
error = json.loads(said[2])["error"] if said[2].startswith(b"{") else {}
verdict(got.startswith(b"HTTP/1.1 400") and error.get("code") == 900036 and error.get("message", "").startswith("(#900036)"),
        "a request that is no HTTP: Meta's shape", got)

print("parameters")
for name, method, path, body in [
    ("method", "GET", f"/v24.0/{PHONE}?method=delete", None),
    ("method on a send", "POST", SEND + "?method=get", text("x")),
    ("text in the query", "POST", SEND + "?text=%7B%22body%22%3A%22NL91ABNA0417164300%22%7D", text("x")),
    ("to in the query", "POST", SEND + "?to=31600000000", text("x")),
    ("batch", "POST", "/v24.0/?batch=%5B%5D", {}),
    ("batch in the body", "POST", "/", {"batch": [{"method": "GET", "relative_url": PHONE}]}),
    ("ids", "GET", f"/v24.0/?ids={PHONE}", None),
    ("ids beside an object", "GET", f"/v24.0/{PHONE}?ids={ZORG}", None),
    ("callback", "GET", f"/v24.0/{PHONE}?callback=x", None),
    ("fields twice", "GET", f"/v24.0/{PHONE}?fields=id&fields=status", None),
    ("fields that walk on", "GET", f"/v24.0/{WABA}?fields=id,assigned_users%7Bname%7D", None),
    ("fields with a dot", "GET", f"/v24.0/{WABA}?fields=phone_numbers.limit(9)", None),
    ("fields: an edge by its bare name", "GET", f"/v24.0/{WABA}?fields=id,subscribed_apps,message_templates", None),
    ("fields: people", "GET", f"/v24.0/{WABA}?fields=assigned_users", None),
    ("fields: an edge of a number", "GET", f"/v24.0/{PHONE}?fields=id,message_history", None),
    ("fields: a phone number's on an account", "GET", f"/v24.0/{WABA}?fields=certificate", None),
    ("an escaped name", "GET", f"/v24.0/{PHONE}?m%65thod=delete", None),
    ("a query that cannot be read", "GET", f"/v24.0/{PHONE}?fields=%zz", None),
    ("me", "GET", "/v24.0/me", None),
    ("another edge", "GET", f"/v24.0/{PHONE}/conversations", None),
    ("the wrong method", "DELETE", f"/v24.0/{PHONE}", None),
    ("PUT", "PUT", SEND, text("x")),
    ("oauth", "GET", "/v24.0/oauth/access_token?client_id=1", None),
    ("debug_token with more", "GET", f"/v24.0/debug_token?input_token={TOKEN}&callback=x", None),
    ("profile written", "POST", f"/v24.0/{PHONE}/whatsapp_business_profile", {"about": "x"}),
]:
    before = len(graph())
    refused(name, call(method, path, body), {"me": 900003, "another edge": 900003, "PUT": 900016}.get(name))
    nothing_left("  and nothing left", before)
form = {"Content-Type": "application/x-www-form-urlencoded"}
before = len(graph())
refused("a form", call("POST", SEND, f"messaging_product=whatsapp&to={CUSTOMER}&type=text&text=%7B%7D", head=form), 900005)
for name, body in [
    ("method", text("x", method="delete")), ("access_token", text("x", access_token="EAAB")),
    ("batch", text("x", batch=[])), ("ids", text("x", ids=PHONE)), ("callback", text("x", callback="f")),
    ("an unknown one", text("x", unheard_of="NL91ABNA0417164300")),
    ("an object as text", message(type="image", image='{"link":"https://evil.example/x.jpg"}')),
    ("a template as text", message(type="template", template='{"name":"x"}')),
    ("text as a list", message(type="text", text=["x"])),
]:
    refused(f"member of the body: {name}", call("POST", SEND, body), 900004, 400)
refused("a name given twice", call("POST", SEND, '{"messaging_product":"whatsapp","to":"316","to":"317"}'), 900005)
refused("a name with an escape", call("POST", SEND, '{"messaging_product":"whatsapp","to":"31612345678","type":"text",'
                                                    '"te\\u0078t":{"body":"x"}}'), 900004)
refused("no JSON", call("POST", SEND, "{"), 900005)
refused("a list", call("POST", SEND, []), 900005)
refused("no recipient", call("POST", SEND, {"messaging_product": "whatsapp", "type": "text", "text": {"body": "x"}}), 900017)
refused("a message behind status read", call("POST", SEND, {"messaging_product": "whatsapp", "status": "read",
        "message_id": "wamid.x", "to": CUSTOMER, "type": "text", "text": {"body": "mijn BSN is 111222333"}}), 900004)
refused("a text in the typing indicator", call("POST", SEND, {"messaging_product": "whatsapp", "status": "read",
        "message_id": "wamid.x", "typing_indicator": {"type": "text", "body": "hallo"}}), 900004)
refused("another status", call("POST", SEND, {"messaging_product": "whatsapp", "status": "delivered", "message_id": "x"}),
        900004)
refused("a body too large", call("POST", SEND, text("x" * 1100000)), 900013, 413)
refused("actor", call("GET", f"/v24.0/{PHONE}", head={"X-Sluis-Actor": "Jan de Vries <x>"}), 900019)
nothing_left("of all those nothing left", before)

print("sends go out equal")
bodies = {
    "text": text("Goedemiddag é 👍", recipient_type="individual", preview_url=True),
    "text with context": {**text("Ja"), "context": {"message_id": "wamid.HBgLMzE2MTIzNDU2NzgVAgARGBI1QTRB"}},
    "to a BSUID": {"messaging_product": "whatsapp", "recipient": "NL.13491208655302741918", "type": "text",
                   "text": {"preview_url": False, "body": "Hallo"}},
    "callback data": text("Hallo", biz_opaque_callback_data="zaak-2026-114"),
    "template": message(type="template", template={
        "name": "order_update", "language": {"policy": "deterministic", "code": "nl"}, "components": [
            {"type": "body", "parameters": [
                {"type": "text", "parameter_name": "first_name", "text": "donderdag"},
                {"type": "currency", "currency": {"fallback_value": "€ 10", "code": "EUR", "amount_1000": 10000}},
                {"type": "date_time", "date_time": {"fallback_value": "vrijdag 10 uur"}}]},
            {"type": "button", "sub_type": "url", "index": "0", "parameters": [{"type": "text", "text": "balie"}]}]}),
    "buttons": message(type="interactive", interactive={
        "type": "button", "header": {"type": "text", "text": "Afspraak"}, "body": {"text": "Komt u?"},
        "footer": {"text": "Gemeente"}, "action": {"buttons": [{"type": "reply", "reply": {"id": "ja", "title": "Ja"}}]}}),
    "list": message(type="interactive", interactive={
        "type": "list", "body": {"text": "Kies"}, "action": {"button": "Tijden", "sections": [
            {"title": "Donderdag", "rows": [{"id": "d10", "title": "10:00", "description": "Balie drie"}]}]}}),
    "cta_url": message(type="interactive", interactive={
        "type": "cta_url", "body": {"text": "Zie de website"}, "action": {"name": "cta_url", "parameters": {
            "display_text": "Website", "url": "https://gemeente.example/"}}}),
    "location request": message(type="interactive", interactive={
        "type": "location_request_message", "body": {"text": "Waar is het?"}, "action": {"name": "send_location"}}),
    "reaction": message(type="reaction", reaction={"message_id": "wamid.HBgLMzE2MTIzNDU2NzgVAgARGBI1QTRB", "emoji": "👍"}),
    "reaction taken back": message(type="reaction", reaction={"message_id": "wamid.x", "emoji": ""}),
    "mark as read": {"messaging_product": "whatsapp", "status": "read", "message_id": "wamid.HBgLMzE2MTIzNDU2NzgVAgARGBI1"},
    "typing": {"messaging_product": "whatsapp", "status": "read", "message_id": "wamid.x", "typing_indicator": {"type": "text"}},
}
for name, body in bodies.items():
    before = len(graph())
    answer = call("POST", SEND, body)
    now = graph()[before:]
    verdict(answer.status == 200 and len(now) == 1 and json.loads(now[0]["body"]) == body and now[0]["body"].isascii(),
            name, (answer.status, answer.body, [g["body"] for g in now]))
answer = call("POST", f"/{PHONE}/messages", text("Zonder versie"))
verdict(answer.status == 200 and graph()[-1]["target"] == SEND, "without a version")
answer = call("POST", f"/v13.0/{PHONE}/messages", text("Oude versie"))
verdict(answer.status == 200 and graph()[-1]["target"].startswith("/v13.0/"), "an older version stays")
verdict(call("HEAD", f"/v24.0/{PHONE}").status == 200, "HEAD")

print("what is found")
IBAN = "NL91 ABNA 0417 1643 00"
places = {
    "text": (text(f"Uw rekening {IBAN} is bekend"), lambda b: b["text"]["body"]),
    "callback data": (text("Hallo", biz_opaque_callback_data=f"iban {IBAN}"), lambda b: b["biz_opaque_callback_data"]),
    "template parameter": (message(type="template", template={"name": "x", "language": {"code": "nl"}, "components": [
        {"type": "body", "parameters": [{"type": "text", "text": IBAN}]}]}),
        lambda b: b["template"]["components"][0]["parameters"][0]["text"]),
    "a button's title": (message(type="interactive", interactive={"type": "button", "body": {"text": "?"}, "action": {
        "buttons": [{"type": "reply", "reply": {"id": "a", "title": IBAN}}]}}),
        lambda b: b["interactive"]["action"]["buttons"][0]["reply"]["title"]),
    "a button's id": (message(type="interactive", interactive={"type": "button", "body": {"text": "?"}, "action": {
        "buttons": [{"type": "reply", "reply": {"id": IBAN, "title": "Ja"}}]}}),
        lambda b: b["interactive"]["action"]["buttons"][0]["reply"]["id"]),
    "a list's row": (message(type="interactive", interactive={"type": "list", "body": {"text": "Kies"}, "action": {
        "button": "T", "sections": [{"title": "D", "rows": [{"id": "1", "title": "a", "description": IBAN}]}]}}),
        lambda b: b["interactive"]["action"]["sections"][0]["rows"][0]["description"]),
    "flow data": (message(type="interactive", interactive={"type": "flow", "body": {"text": "?"}, "action": {
        "name": "flow", "parameters": {"flow_action_payload": {"screen": "A", "data": {"rekening": IBAN}}}}}),
        lambda b: b["interactive"]["action"]["parameters"]["flow_action_payload"]["data"]["rekening"]),
    "escaped": ('{"messaging_product":"whatsapp","to":"%s","type":"text","text":{"body":"NL91\\u0020ABNA\\u002004171643 00"}}'
                % CUSTOMER, lambda b: b["text"]["body"]),
}
for name, (body, pick) in places.items():
    before = len(graph())
    answer = call("POST", SEND, body, head={"Content-Type": "application/json"})
    now = graph()[before:]
    sent = now[0]["body"] if now else ""
    verdict(answer.status == 200 and len(now) == 1 and "ABNA" not in sent and "[IBAN]" in pick(json.loads(sent)),
            f"masked in what reaches Meta: {name}", (answer.status, answer.body, sent))
for name, (body, pick) in places.items():
    if isinstance(body, str):
        continue
    before = len(graph())
    body = json.loads(json.dumps(body).replace(IBAN, "BSN 111222333"))
    refused(f"refused for a BSN: {name}", call("POST", SEND, body), 900006, 403)
    nothing_left("  and nothing left", before)

print("media")
before = len(graph())
link = {"link": "https://evil.example/a.jpg"}
header = {"type": "image", "image": link}
for name, body in [
    ("image", message(type="image", image={**link, "caption": "x"})),
    ("document", message(type="document", document=link)),
    ("template header", message(type="template", template={"name": "x", "language": {"code": "nl"}, "components": [
        {"type": "header", "parameters": [header]}]})),
    ("interactive header", message(type="interactive", interactive={"type": "button", "header": header, "body": {"text": "x"},
                                                                    "action": {"buttons": []}})),
    ("carousel", message(type="template", template={"name": "x", "language": {"code": "nl"}, "components": [
        {"type": "carousel", "cards": [{"card_index": 0, "components": [{"type": "header", "parameters": [header]}]}]}]})),
    ("interactive carousel", message(type="interactive", interactive={"type": "carousel", "body": {"text": "x"}, "action": {
        "cards": [{"card_index": 0, "type": "cta_url", "header": {"type": "video", "video": link}}]}})),
    ("order", message(type="interactive", interactive={"type": "order_details", "action": {"parameters": {"order": {"items": [
        {"image": link}]}}}})),
    ("in a list", message(type="interactive", interactive={"type": "x", "body": {"text": "x"}, "header": {"image": [link]}})),
]:
    refused(f"by link: {name}", call("POST", SEND, body), 900008, 403)
refused("an object as text, deeper", call("POST", SEND, message(type="interactive", interactive={
    "type": "button", "header": {"type": "image", "image": json.dumps(link)}})), 900005)
refused("by an id that nobody uploaded", call("POST", SEND, message(type="image", image={"id": "1479537139650973"})), 900002)
refused("a channel that withholds: by id", call("POST", f"/v24.0/{ZORG}/messages",
        message(type="image", image={"id": "1479537139650973"}), token=TOKEN_ZORG), 900007, 403)
unknown = call("GET", "/v24.0/1479537139650973", token=TOKEN_ZORG)
refused("a channel that withholds: metadata", unknown, 900007, 403)
verdict(b"no phone number id or WABA id of this token" in unknown.body, "which says that the id is no channel's", unknown.body)
nothing_left("none of it left", before)


def upload(parts, token=TOKEN, number=PHONE):
    mark = "grens8x8"
    body = b"".join(b"--%s\r\nContent-Disposition: form-data; name=\"%s\"%s\r\n\r\n%s\r\n" % (
        mark.encode(), n.encode(), extra, value) for n, extra, value in parts) + b"--%s--\r\n" % mark.encode()
    return call("POST", f"/v24.0/{number}/media", body, token=token,
                head={"Content-Type": f"multipart/form-data; boundary={mark}"})


product = ("messaging_product", b"", b"whatsapp")
as_file = b'; filename="Jan Jansen 111222333.pdf"\r\nContent-Type: application/pdf'
# Look-alikes of the boundary, a hundred thousand of them, in 4 MB.
noisy = (b"\r\n--grens8x" + os.urandom(30)) * 100000
before = len(graph())
up = upload([("file", as_file, noisy), product, ("type", b"", b"application/pdf")])
verdict(up.status == 200, "upload", up.body)
now = graph()[before:]
verdict(len(now) == 1 and "111222333" not in json.dumps(now[0]["target"]) and
        b"111222333" not in json.dumps(now[0]).encode(), "the file's name does not leave")
verdict([l["outcome"] for l in leaves() if l["action"] == "media"][-2:] == ["upload_intent", "uploaded"],
        "recorded before and after", [l["outcome"] for l in leaves() if l["action"] == "media"])
ident = up.json["id"]
meta = call("GET", f"/v24.0/{ident}?phone_number_id={PHONE}")
verdict(meta.status == 200 and meta.json["url"].startswith("https://localhost:"), "metadata with our own address", meta.body)
bits = call("GET", "/sluis/media/" + ident)
verdict(bits.status == 200 and bits.body == noisy and bits.head["X-Content-Type-Options"] == "nosniff", "the bytes come back",
        bits.status)
verdict([l["outcome"] for l in leaves() if l["action"] == "media"][-2:] == ["intent", "passed"], "recorded before and after")
verdict(call("GET", "/sluis/media/" + ident, token=BOTH).status == 200, "by a token of both channels, the first withholds")
refused("for another channel", call("GET", "/sluis/media/" + ident, token=TOKEN_ZORG), 900007)
refused("with the number of another", call("GET", f"/v24.0/{ident}?phone_number_id={ZORG}"), 900050)
answer = call("POST", SEND, message(type="document", document={"id": ident, "caption": "Formulier"}))
verdict(answer.status == 200 and json.loads(graph()[-1]["body"])["document"] == {"id": ident, "caption": "Formulier"},
        "an uploaded file is sent", answer.body)
before = len(graph())
for name, parts in [
    ("no file", [product]), ("no product", [("file", as_file, b"x")]), ("two files", [product, ("file", as_file, b"x")] * 2),
    ("an unknown part", [product, ("file", as_file, b"x"), ("method", b"", b"delete")]),
    ("a type with a line end", [product, ("file", as_file, b"x"), ("type", b"", b"a/b\r\nX-Evil: 1")]),
]:
    refused(f"upload with {name}", upload(parts), 900005)
nothing_left("none of it left", before)
verdict(call("DELETE", f"/v24.0/{ident}?phone_number_id={PHONE}").status == 200, "delete")

print("names and links")
for host in ("graph.facebook.com", "lookaside.fbsbx.com", "sluis.intern"):
    answer = call("GET", f"/v24.0/{PHONE}", host=host)
    verdict(answer.status == 200, f"SNI and Host {host}", answer.body)
page = call("GET", f"/v24.0/{WABA}/message_templates?limit=2", host="graph.facebook.com")
verdict(page.json["paging"]["next"].startswith("https://graph.facebook.com/v24.0/"), "links stay under the name that was asked")
page = call("GET", f"/v24.0/{WABA}/message_templates?limit=2", host="evil.example")
verdict(page.status == 200 and page.json["paging"]["next"].startswith(f"https://sluis.intern:{env['PORT_TOOLS']}/"),
        "a foreign Host does not come back in links", page.body)
page = call("GET", f"/v24.0/{WABA}/message_templates?access_token={TOKEN}", token=None)
verdict(f"access_token={TOKEN}" in page.json["paging"]["next"] and META not in page.body.decode(),
        "the tool's token where the tool uses the query, Meta's never")

print("set-up calls")
before = len(graph())
for method, path, body in [("POST", f"/v24.0/{WABA}/subscribed_apps", {"override_callback_uri": "https://x.example"}),
                           ("DELETE", f"/v24.0/{WABA}/subscribed_apps", None), ("POST", f"/v24.0/{PHONE}/register", {"pin": "1"}),
                           ("POST", f"/v24.0/{PHONE}/deregister", {}),
                           ("POST", f"/v24.0/{PHONE}", {"webhook_configuration": {"override_callback_uri": "https://x.example"}})]:
    answer = call(method, path, body)
    verdict(answer.status == 200 and answer.json == {"success": True}, f"{method} {path}", answer.body)
nothing_left("none was forwarded", before)
refused("POST on the number with something else", call("POST", f"/v24.0/{PHONE}", {"name": "x"}))
setups = [l for l in leaves() if l["action"] == "setup"]
verdict(len(setups) == 5 and all(l["outcome"] == "answered_here" and l["channel"] == "burgerzaken" for l in setups),
        "each is recorded as a set-up call", setups)
before = len(leaves())
call("GET", f"/v24.0/{PHONE}?method=delete", head={"X-Sluis-Actor": "k.bakker"})
call("GET", "/v24.0/oauth/x")
verdict([(l["code"], l.get("claimed")) for l in leaves()[before:] if l["action"] == "refuse"] == [(900004, "k.bakker"), (900014, None)],
        "refusals to a known tool are recorded", leaves()[before:])

print("aliases")
open(f"{DIR}/a.sim", "w").write(f"channel {PHONE} {WABA} 31201234567\ncontact sanne {CUSTOMER} Sanne Jansen\n"
                                "sanne text Goedemiddag\n")
subprocess.run([env["BIN"] + "/sluis-sim", "send", "--url", f"https://localhost:{env['PORT_META']}/webhook/gemeente", "--secret",
                f"{DIR}/credentials/app-secret", "--ca", CA, "--record", f"{DIR}/a.jsonl", f"{DIR}/a.sim"], check=True,
               capture_output=True)
wamid = json.loads(json.loads(open(f"{DIR}/a.jsonl").readline())["body"])["entry"][0]["changes"][0]["value"]["messages"][0]["id"]
delivered, until = {}, time.time() + 60
while len(delivered) < 2 and time.time() < until:
    time.sleep(0.1)
    for line in open(f"{DIR}/inbox.jsonl") if os.path.exists(f"{DIR}/inbox.jsonl") else []:
        one = json.loads(line) if line.endswith("\n") else {}
        if "Goedemiddag" in json.dumps(one):
            it = json.loads(one["body"])["entry"][0]["changes"][0]["value"]["messages"][0]
            delivered["webcare" if it["from"] == CUSTOMER else "hidden"] = it
alias = delivered.get("hidden", {})
verdict(delivered.get("webcare", {}).get("id") == wamid and delivered["webcare"]["from"] == CUSTOMER, "one route sees the number")
verdict(alias.get("id", wamid) != wamid and alias.get("from", CUSTOMER) != CUSTOMER, "the other does not", alias)
if alias:
    answer = call("POST", SEND, {"messaging_product": "whatsapp", "to": alias["from"], "type": "text", "text": {"body": "Dag"},
                                 "context": {"message_id": alias["id"]}}, token=HIDDEN)
    got = json.loads(graph()[-1]["body"])
    verdict(answer.status == 200 and got["to"] == CUSTOMER and got["context"]["message_id"] == wamid, "sent to the real one", got)
    verdict(CUSTOMER not in answer.body.decode() and answer.json["contacts"][0]["wa_id"] == alias["from"] and
            not any(CUSTOMER[k:k + 8].encode() in base64.b64decode(answer.json["messages"][0]["id"][6:] + "===", "-_")
                    for k in range(4)), "the reply keeps it hidden", answer.body)
    call("POST", SEND, {"messaging_product": "whatsapp", "status": "read", "message_id": alias["id"]}, token=HIDDEN)
    verdict(json.loads(graph()[-1]["body"])["message_id"] == wamid, "mark as read")
    call("POST", SEND, {"messaging_product": "whatsapp", "to": alias["from"], "type": "reaction",
                        "reaction": {"message_id": alias["id"], "emoji": "👍"}}, token=HIDDEN)
    verdict(json.loads(graph()[-1]["body"])["reaction"]["message_id"] == wamid, "reaction")
    before = len(graph())
    broken = alias["id"][:-4] + ("AAAA" if alias["id"][-4:] != "AAAA" else "BBBB")
    refused("a made-up alias", call("POST", SEND, {"messaging_product": "whatsapp", "status": "read", "message_id": broken},
                                    token=HIDDEN), 900017)
    refused("the number itself", call("POST", SEND, text("Hallo"), token=HIDDEN), 900017)
    nothing_left("and nothing left", before)

print("Meta's answers")
for code, status in [(130429, 429), (131056, 400), (131047, 400), (80007, 400), (2, 503), (190, 401)]:
    before = len(graph())
    faults({"kind": "status", "code": code, "count": 1, "path": "/messages"})
    answer = call("POST", SEND, text("Hallo"))
    verdict((answer.status, answer.code) == (status, code) and answer.json["error"]["type"] == "OAuthException" and
            len(graph()) == before + 1, f"{code} passes, asked once", answer.body)
faults({})
for kind in ("reset", "close"):
    before = len(graph())
    faults({"kind": kind, "count": 1, "path": "/messages"})
    answer = call("POST", SEND, text("Hallo"))
    time.sleep(0.3)
    verdict((answer.status, answer.code) == (504, 900009) and len(graph()) == before + 1, f"{kind}: unknown, sent once",
            answer.body)
    last = [l for l in leaves() if l["action"].startswith("send")][-2:]
    verdict([(l["action"], l["outcome"]) for l in last] == [("send_intent", "intent"), ("send", "unknown")], "  recorded as such",
            last)
faults({})
answer, seen = zorg(wire(200, ACCEPTED, "X-Hub-Signature-256: sha256=00", "Set-Cookie: a=b", "X-App-Usage: {\"call_count\":1}",
                         "X-FB-Trace-ID: abc", "Server: proxygen"))
verdict(answer.status == 200 and len(seen) == 1, "a good answer", answer.body)
verdict(answer.head["X-App-Usage"] and not any(answer.head[n] for n in ("X-Hub-Signature-256", "Set-Cookie", "X-FB-Trace-ID")) and
        answer.head["Server"] != "proxygen", "of its head only the limits pass", answer.head.items())
head = seen[0][0]
verdict(f"Authorization: Bearer {META}" in head and "x-sluis" not in head.lower() and TOKEN_ZORG not in head, "what Meta sees", head)
for name in ("X-App-Usage", "X-Business-Use-Case-Usage", "Retry-After"):
    for value in ('{"text":"Jan de Vries"}', "jan@voorbeeld.nl", '{"x":"a.b-c"}', "<b>", '"'):
        answer, seen = zorg(wire(200, ACCEPTED, f"{name}: {value}"))
        verdict(answer.status == 200 and not answer.head[name], f"{name}: {value} does not pass", answer.head.items())
usage = '{"102290129340398":[{"type":"messaging","call_count":1,"total_time": 0.5,"estimated_time_to_regain_access":0}]}'
answer, seen = zorg(wire(200, ACCEPTED, f"X-Business-Use-Case-Usage: {usage}", "Retry-After: 7"))
verdict(answer.head["X-Business-Use-Case-Usage"] == usage and answer.head["Retry-After"] == "7", "limits do", answer.head.items())
for name, made, status, code in [
    ("redirect", wire(302, b"", "Location: https://evil.example/"), 502, 900018),
    ("moved, kept method", wire(307, {"a": 1}, f"Location: https://localhost:{env['PORT_GRAPH']}/"), 502, 900018),
    ("a page of HTML for 502", wire(502, b"<html>bad gateway</html>"), 504, 900009),
    ("200 and no JSON", wire(200, b"<html>", "Content-Type: text/html"), 504, 900009),
    ("200 and cut off", b"HTTP/1.1 200 X\r\nContent-Length: 99\r\nConnection: close\r\n\r\n{\"a\":", 504, 900009),
    ("400 and no JSON", wire(400, b"nope"), 502, 900018),
    ("gzip", wire(200, ACCEPTED, "Content-Encoding: gzip"), 504, 900009),
    ("5 MB", wire(200, {"a": "x" * 5000000}), 504, 900009),
    ("an answer with Meta's token in it", wire(200, {"href": f"https://graph.facebook.com/x?access_token={META}"}), 504, 900009),
    ("not HTTP", b"SSH-2.0-x\r\nConnection: close\r\n\r\n", 504, 900009),
    ("reset", "reset", 504, 900009),
]:
    answer, seen = zorg(made)
    verdict((answer.status, answer.code) == (status, code) and len(seen) == 1 and META not in answer.body.decode(),
            f"{name}: {status} {code}, sent once", (answer.status, answer.body[:200], len(seen)))
read = f"/v24.0/{ZORG}"
answer, seen = zorg("reset", method="GET", path=read)
verdict((answer.status, answer.code) == (502, 900010), "a read that fails may be repeated by the tool", answer.body)
long_next = {"data": [], "paging": {"next": f"https://graph.facebook.com/v24.0/{ZORG_WABA}/message_templates?access_token={META}&"
                                            f"fields={','.join(['name'] * 180)}&after={'Q' * 900}&method=delete"}}
answer, seen = zorg(wire(200, long_next), method="GET", path=f"/v24.0/{ZORG_WABA}/message_templates")
verdict(answer.status == 200 and META not in answer.body.decode() and "after=" + "Q" * 900 in answer.json["paging"]["next"] and
        "method" not in answer.json["paging"]["next"] and "localhost" in answer.json["paging"]["next"], "a long link", answer.body)
kept = peer.connections
good = [zorg(wire(200, ACCEPTED))[0].status for _ in range(16)]
verdict(peer.connections <= kept + os.cpu_count() and good == [200] * 16, "connections are kept, per thread",
        (kept, peer.connections, good))

print("kept connections that died")
before, statuses = len(peer.requests), []
for k in range(10):
    statuses.append(zorg("stale", method="GET", path=read)[0].status)
verdict(statuses == [200] * 10 and len(peer.requests) > before + 10, "a read goes again on a fresh one", statuses)
before, statuses = len(peer.requests), []
for k in range(10):
    statuses.append(zorg("stale")[0].status)
verdict(504 in statuses and set(statuses) == {200, 504} and len(peer.requests) == before + 10,
        "a message never goes again: it is unknown", (statuses, len(peer.requests) - before))

print("what cannot be judged")
before = len(graph())
refused("more findings than are looked at", call("POST", SEND, text(" ".join(f"a{k}@voorbeeld.nl" for k in range(3000)))), 900012, 403)
refused("deeper than is read", call("POST", SEND, '{"messaging_product":"whatsapp","to":"316","type":"interactive","interactive":'
        + '{"a":' * 100 + "1" + "}" * 100 + "}"), 900005)
nothing_left("nothing left", before)

print("a tool that leaves before its message does")
peer.answer = wire(200, ACCEPTED)
before, recorded = len(peer.requests), len(leaves())
for k in range(10):
    made = json.dumps(text(f"Weg {k}"))
    tool = trust.wrap_socket(socket.create_connection(("127.0.0.1", int(env["PORT_TOOLS"]))), server_hostname="localhost")
    tool.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)  # its request and its leaving in one
    raw = f"POST /v24.0/{ZORG}/messages HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN_ZORG}\r\n" \
          f"Content-Type: application/json\r\nContent-Length: {len(made)}\r\n\r\n{made}"
    tool.sendall(raw.encode())
    tool.close()
until = time.time() + 60
while True:
    left = [l["outcome"] for l in leaves()[recorded:] if l["action"] == "send"]
    if len(left) >= 10 or time.time() > until:
        break
    time.sleep(0.2)
gone = 10 - (len(peer.requests) - before)
verdict(gone >= 5 and left.count("not_sent") >= gone - 1, "nearly none of ten is sent; each is recorded as not sent", (gone, left))

print("many large files at once")
big, results = os.urandom(14 * 1024 * 1024), []
ident = upload([product, ("file", as_file, big)]).json["id"]
faults({"delay_ms": 3000})
threads = [threading.Thread(target=lambda: results.append(call("HEAD", "/sluis/media/" + ident))) for _ in range(24)]
for t in threads:
    t.start()
for t in threads:
    t.join()
faults({})
statuses = sorted(r.status for r in results)
verdict(statuses == [200] * 24, "nothing of them is held: none is told to come back", statuses)
verdict(call("GET", "/sluis/media/" + ident).body == big, "and they are served whole")

print("stop-gap and limits")
hanging.join(60)
verdict(hung.get("answer") and (hung["answer"].status, hung["answer"].code) == (504, 900009) and len(hung["requests"]) == 1,
        "a Meta that hangs: 504, unknown, sent once", hung.get("answer") and hung["answer"].body)

print("revoked and expired")
link = http.client.HTTPSConnection("localhost", int(env["PORT_TOOLS"]), context=trust)
link.request("GET", f"/v24.0/{PHONE}", headers={"Authorization": f"Bearer {BOTH}"})
first = link.getresponse()
first.read()
ids = json.loads(subprocess.run([env["BIN"] + "/sluis", "token", "list", "-c", "sluis.yaml", "--json"], cwd=DIR,
                                capture_output=True).stdout)["tokens"]
subprocess.run([env["BIN"] + "/sluis", "token", "revoke", "-c", "sluis.yaml",
                str(next(t["id"] for t in ids if t["name"] == "both"))], cwd=DIR, check=True, capture_output=True)
try:
    link.request("GET", f"/v24.0/{PHONE}", headers={"Authorization": f"Bearer {BOTH}"})
    second = link.getresponse()
except (http.client.HTTPException, OSError):  # its connections are cut as well
    link.close()
    link.request("GET", f"/v24.0/{PHONE}", headers={"Authorization": f"Bearer {BOTH}"})
    second = link.getresponse()
verdict(first.status == 200 and second.status == 401 and second.read() == reference.body,
        "revoked: at once, on an open connection or a new one, as if it never was")
answer = call("GET", f"/v24.0/debug_token?input_token={BOTH}")
verdict(answer.json["data"]["is_valid"] is False, "debug_token says so")

print("a route that has gone")
good = open(f"{DIR}/sluis.yaml").read()
open(f"{DIR}/sluis.yaml", "w").write(re.sub(r"\n +hidden: \{url.*", "", good, count=1))
reload = [env["BIN"] + "/sluis", "reload", "-c", "sluis.yaml"]
subprocess.run(reload, cwd=DIR, check=True, capture_output=True)
refused("its tool is shown nothing", call("GET", f"/v24.0/{PHONE}", token=HIDDEN), 900002)
open(f"{DIR}/sluis.yaml", "w").write(good)
subprocess.run(reload, cwd=DIR, check=True, capture_output=True)
verdict(call("GET", f"/v24.0/{PHONE}", token=HIDDEN).status == 200, "and comes back with it")

print("a full store")
# Fill it through the front door until intake stops, then until the log itself has no room.
load = [env["BIN"] + "/sluis-sim", "load", "--url", f"https://localhost:{env['PORT_META']}/webhook/gemeente", "--secret",
        f"{DIR}/credentials/app-secret", "--ca", CA, "--rate", "3000", "--seconds", "8", "--contacts", "50", "--connections", "16"]
subprocess.run(load, capture_output=True)
outcome, before = None, 0
for _ in range(4000):
    before = len(graph())
    outcome = call("POST", SEND, text("Vol " + "lange regel " * 300))
    if outcome.status != 200:
        break
refused("audit refused", outcome, 900011, 503)
nothing_left("and nothing left", before)
verdict(outcome.head["Retry-After"], "it says when to come back")
print("all calls made")
