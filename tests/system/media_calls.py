"""The calls of tests/system/media. Usage: media_calls.py PART, in the environment of that script."""
import base64
import hashlib
import hmac
import http.client
import http.server
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
import time

env = os.environ
DIR, CA = env["STACK_DIR"], env["CA"]
PHONE, WABA = env["PHONE_ID"], env["WABA_ID"]
SECRET = open(f"{DIR}/credentials/app-secret").read().strip()
trust = ssl.create_default_context(cafile=CA)
JPEG = b"\xff\xd8\xff"


def verdict(good, text, detail=""):
    print(f"  {'ok   ' if good else 'FAIL '} {text}" + (f"   {detail}" if not good else ""), flush=True)


read = {} # file: (bytes read, lines)


def lines(name):
    at, known = read.get(name, (0, []))
    try:
        with open(f"{DIR}/{name}", "rb") as f:
            f.seek(at)
            new = f.read()
    except FileNotFoundError:
        return []
    whole = new[:new.rfind(b"\n") + 1]
    read[name] = (at + len(whole), known + [json.loads(line) for line in whole.splitlines()])
    return read[name][1]


def until(holds, seconds=60):
    end = time.time() + seconds
    while time.time() < end:
        if holds():
            return True
        time.sleep(0.02)
    return bool(holds())


def ask(link, method, path, body, head):
    """Head and body in one write: who refuses the head may have closed before a body that comes later."""
    if link.sock is None:
        link.connect()
    pieces = []
    link.send = pieces.append
    link.request(method, path, body, head)
    del link.send
    link.sock.sendall(b"".join(p if isinstance(p, bytes) else p.encode() for p in pieces))


def post(port, path, body, head):
    link = http.client.HTTPSConnection("localhost", int(port), timeout=60, context=trust)
    try:
        ask(link, "POST", path, body, head)
        answer = link.getresponse()
        return answer.status, answer.read()
    finally:
        link.close()


class Answer:
    def __init__(self, status, head, body):
        self.status, self.head, self.body = status, head, body
        try:
            self.json = json.loads(body)
        except ValueError:
            self.json = None
        self.code = ((self.json or {}).get("error") or {}).get("code") if isinstance(self.json, dict) else None


def call(method, path, body=None, token=env["TOKEN"], head=None):
    head = dict(head or {})
    if token:
        head["Authorization"] = f"Bearer {token}"
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
        head.setdefault("Content-Type", "application/json")
    link = http.client.HTTPSConnection("localhost", int(env["PORT_TOOLS"]), timeout=60, context=trust)
    try:
        ask(link, method, path, body, head)
        answer = link.getresponse()
        return Answer(answer.status, answer.headers, answer.read())
    finally:
        link.close()


def leaves():
    out = subprocess.run([env["BIN"] + "/sluis", "audit", "list", "-c", "sluis.yaml"], cwd=DIR, capture_output=True)
    return [json.loads(line)["leaf"] for line in out.stdout.splitlines()]


sent = 0


def customer(ident, content, kind="image", mime="image/jpeg", caption=None, phone="31612345678", announce=None, **more):
    """A message with media as Meta sends it; the file lies with Meta."""
    global sent
    sent += 1
    with open(f"{DIR}/files/{ident}", "wb") as f:
        f.write(content)
    media = {"mime_type": mime, "id": ident, "url": f"https://lookaside.fbsbx.com/x/?mid={ident}",
             "sha256": base64.b64encode(hashlib.sha256(announce or content).digest()).decode(), **more}
    if caption:
        media["caption"] = caption
    return webhook({"from": phone, "id": f"wamid.{ident}.{os.getpid()}", "timestamp": str(int(time.time())),
                    "type": kind, kind: media})


def customers(pictures, phone):
    """Pictures of one contact in one POST."""
    for ident, content in pictures:
        with open(f"{DIR}/files/{ident}", "wb") as f:
            f.write(content)
    return webhook(*({"from": phone, "id": f"wamid.{ident}.{os.getpid()}", "timestamp": str(int(time.time())), "type": "image",
                      "image": {"mime_type": "image/jpeg", "id": ident, "url": f"https://lookaside.fbsbx.com/x/?mid={ident}",
                                "sha256": hash64(content)}} for ident, content in pictures))


def webhook(*messages):
    body = json.dumps({"object": "whatsapp_business_account", "entry": [{"id": WABA, "changes": [{
        "field": "messages", "value": {"messaging_product": "whatsapp",
                                       "metadata": {"display_phone_number": "31201234567", "phone_number_id": PHONE},
                                       "messages": messages}}]}]}).encode()
    mac = "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    begin = time.time()
    status, _ = post(env["PORT_META"], "/webhook/gemeente", body,
                     {"Content-Type": "application/json", "X-Hub-Signature-256": mac})
    return status, time.time() - begin


def text(words, phone="31612345678"):
    global sent
    sent += 1
    return webhook({"from": phone, "id": f"wamid.t{sent}.{os.getpid()}", "timestamp": str(int(time.time())),
                    "type": "text", "text": {"body": words}})


def delivered(route="webcare"):
    """Messages as the tool got them."""
    out = []
    for line in lines("inbox.jsonl"):
        if line["status"] == 200 and route in line.get("target", line.get("path", "")):
            body = line["body"]
            body = json.loads(body) if isinstance(body, str) else body
            out += body["entry"][0]["changes"][0]["value"].get("messages", [])
    return out


def got(ident, route="webcare"):
    found = [m for m in delivered(route) if m["id"].startswith(f"wamid.{ident}.")]
    return found[0] if found else None


def wait(ident, route="webcare", seconds=60):
    until(lambda: got(ident, route), seconds)
    return got(ident, route) or {}


# What stands in the place of a verdict that took longer than delivery waits, on a machine that is busy.
LATE = "wordt gecontroleerd]"


def decided(ident):
    """Waits for the verdict: the code with which it is refused, or None."""
    until(lambda: call("GET", f"/v24.0/{ident}").code != 900051)
    return call("GET", f"/v24.0/{ident}").code


def asked(ident):
    return [l["target"] for l in lines("graph.jsonl") if f"/{ident}?" in l["target"] or f"mid={ident}&" in l["target"]]


def hash64(content):
    return base64.b64encode(hashlib.sha256(content).digest()).decode()


def deliver():
    print("delivered by what was seen")
    anew = JPEG + b" made anew: clean 7001"
    status, took = customer("7001", JPEG + b"clean 7001", caption="Mijn scherm")
    verdict(status == 200, "accepted", (status, took))
    image = wait("7001").get("image", {})
    verdict(image.get("sha256") == hash64(anew), "a clean picture: the hash of what is served", image)
    verdict(image.get("caption") == "Mijn scherm" and image.get("id") == "7001", "its caption and id stay", image)
    verdict("lookaside" not in json.dumps(image), "no address of Meta's", image)
    m = wait("7001", "bot")
    verdict(m.get("type") == "text" and m["text"]["body"] == "[foto: niet doorgegeven] Mijn scherm", "a route that withholds", m)
    verdict(len(asked("7001")) == 2, "fetched once, for two routes", asked("7001"))

    customer("7002", JPEG + b"card", caption="dit is hem")
    image = wait("7002").get("image", {})
    verdict(image.get("caption") == "[foto: bankpas afgeschermd] dit is hem", "a card, covered: the line", image)
    verdict(image.get("sha256") == hash64(JPEG + b" covered"), "and the hash of the covered picture", image)
    verdict(until(lambda: any("U stuurde een foto van een bankpas" in json.dumps(raw(l["body"]).decode("latin-1")) for l in graph_posts("messages"))),
            "the customer hears of it", graph_posts("messages"))
    customer("7003", JPEG + b"card")
    verdict(wait("7003").get("image", {}).get("caption") == "[foto: bankpas afgeschermd]", "also without a caption", got("7003"))
    customer("7004", JPEG + b"id", caption="paspoort")
    m = wait("7004")
    verdict(m.get("type") == "text" and m["text"]["body"] == "[foto: identiteitsbewijs niet doorgegeven] paspoort",
            "an ID document, withheld: the line", m)
    customer("7005", JPEG + b"damaged")
    verdict(wait("7005").get("text", {}).get("body") == "[foto: niet doorgegeven]", "one that cannot be decided", got("7005"))
    customer("7006", b"%PDF-1.7 declared a picture")
    verdict(wait("7006").get("text", {}).get("body") == "[foto: niet doorgegeven]", "a document that is called a picture", got("7006"))
    customer("7007", JPEG + b"card", kind="document", mime="application/pdf", filename="scan.pdf")
    m = wait("7007")
    verdict(m.get("type") == "text" and "niet doorgegeven" in m["text"]["body"] and not asked("7007"),
            "a document: withheld, not even fetched", (m, asked("7007")))
    customer("7008", JPEG + b"card", kind="document", mime="image/jpeg", filename="scan.jpg")
    document = wait("7008").get("document", {})
    verdict(document.get("caption") == "[foto: bankpas afgeschermd]", "a picture sent as a document is a picture", got("7008"))
    sound = b"OggS audio-of-a-customer" * 20000 # several chunks of its file
    customer("7009", sound, kind="audio", mime="audio/ogg; codecs=opus", voice=True)
    audio = wait("7009").get("audio", {})
    verdict(audio.get("sha256") == hash64(sound) and audio.get("mime_type") == "audio/ogg; codecs=opus", "audio passes", got("7009"))
    customer("7010", JPEG + b"card", kind="audio", mime="audio/ogg", voice=True)
    audio = wait("7010").get("audio", {})
    verdict(audio.get("mime_type") == "image/jpeg" and audio.get("sha256") == hash64(JPEG + b" covered"),
            "a picture called audio is covered", got("7010"))
    customer("7011", b"\0\0\0\x18ftypmp42 hdlr\0\0\0\0\0\0\0\0vide      ", kind="video", mime="video/mp4")
    verdict(wait("7011").get("text", {}).get("body") == "[video: niet doorgegeven]", "video by policy", got("7011"))
    customer("7012", JPEG + b"clean 7012", announce=b"something else", phone="31677777777")

    print("waiting for a verdict")
    # What comes before what is looked at, not how soon: others may have the machine.
    begin = time.time()
    customer("7020", JPEG + b"slow2500", phone="31687654321")
    text("na de foto", phone="31687654321")
    text("van een ander", phone="31600000001")
    image = wait("7020").get("image", {})
    took = time.time() - begin
    order = [m.get("text", {}).get("body", m["id"]) for m in delivered()]
    picture = next((i for i, what in enumerate(order) if what.startswith("wamid.7020.")), -1)
    verdict("van een ander" in order[:max(picture, 0)], "others do not wait", order)
    verdict(image.get("sha256") == hash64(JPEG + b" made anew: slow2500") and took > 2.2, "delivery waits for it", (image, took))
    verdict(until(lambda: any(m.get("text", {}).get("body") == "na de foto" for m in delivered())), "what follows comes")
    order = [m["id"].split(".")[1][0] for m in delivered() if m["from"] == "31687654321"]
    verdict(order == ["7", "t"], "after it", order)
    begin = time.time()
    status, answered = customer("7021", JPEG + b"slow8000", caption="traag")
    verdict(status == 200 and answered < 7.5, "the 200 does not wait", (status, answered))
    m = wait("7021")
    took = time.time() - begin
    image = m.get("image", {})
    verdict(took > 4.5 and image.get("caption") == "[foto: wordt gecontroleerd] traag", "at most five seconds", (took, m))
    verdict("sha256" not in image and "url" not in image and image.get("id") == "7021", "without address and hash", image)
    answer = call("GET", "/sluis/media/7021")
    verdict(answer.status == 200 and answer.body == JPEG + b" made anew: slow8000", "the tool's download waits for the verdict",
            (answer.status, answer.body[:80]))
    m = wait("7012")
    verdict(call("GET", "/v24.0/7012").code == 900052 and "sha256" not in json.dumps(m), "bytes that are not what was announced: withheld", m)
    # 45 at once: a minute may end among them, and then more than twenty fall in the one or the other.
    customers([(f"71{k:02}", JPEG + b"clean %d" % k) for k in range(45)], phone="31611111111")
    codes = [decided(f"71{k:02}") for k in range(45)]
    verdict(5 <= codes.count(900052) <= 25 and codes.count(None) == 45 - codes.count(900052),
            "more than twenty in a minute of one contact: withheld", codes)
    withheld = [wait(f"71{k:02}") for k in range(45) if codes[k] == 900052]
    verdict(all("[foto: niet doorgegeven]" in str(m) or LATE in str(m) for m in withheld), "and said so", withheld)
    verdict(wait("7100").get("type") == "image" and codes[0] is None, "the first of them is there", got("7100"))


def serve():
    print("served")
    covered = JPEG + b" covered"
    answer = call("GET", "/v24.0/7002")
    verdict(answer.status == 200 and answer.json["sha256"] == hashlib.sha256(covered).hexdigest() and
            answer.json["file_size"] == str(len(covered)) and answer.json["mime_type"] == "image/jpeg" and
            answer.json["url"] == f"https://localhost:{env['PORT_TOOLS']}/sluis/media/7002", "metadata of what is served", answer.body)
    before = len(leaves())
    bits = call("GET", "/sluis/media/7002")
    verdict(bits.status == 200 and bits.body == covered and bits.head["Content-Type"] == "image/jpeg", "the covered picture, never the original", bits.body)
    new = [l for l in leaves()[before:] if l["action"] == "media"]
    verdict([l["outcome"] for l in new] == ["intent", "passed"] and all(l["actor"] == "webcare" for l in new), "on record before and after", new)
    verdict(call("HEAD", "/sluis/media/7002").status == 200, "HEAD")
    for text_, head, status, body, content_range in [
        ("a range", {"Range": "bytes=3-7"}, 206, covered[3:8], f"bytes 3-7/{len(covered)}"),
        ("the last bytes", {"Range": "bytes=-4"}, 206, covered[-4:], f"bytes {len(covered) - 4}-{len(covered) - 1}/{len(covered)}"),
        ("past the end", {"Range": "bytes=900-"}, 416, b"", f"bytes */{len(covered)}"),
        ("two ranges: the whole", {"Range": "bytes=0-1,3-4"}, 200, covered, None),
        ("If-Range that holds", {"Range": "bytes=0-1", "If-Range": bits.head["ETag"]}, 206, covered[:2], f"bytes 0-1/{len(covered)}"),
        ("If-Range that does not", {"Range": "bytes=0-1", "If-Range": '"other"'}, 200, covered, None),
    ]:
        answer = call("GET", "/sluis/media/7002", head=head)
        verdict(answer.status == status and answer.body == body and answer.head["Content-Range"] == content_range, text_,
                (answer.status, answer.body, answer.head["Content-Range"]))
    answer = call("GET", "/sluis/media/7099123")
    verdict(answer.status == 404 and answer.code == 900050, "an unknown id: 404", answer.body)
    verdict(call("GET", "/sluis/media/7002", token=None).status == 401, "no token: nothing")
    verdict(call("GET", "/sluis/media/7002", token="sluis_" + "x" * 43).status == 401, "a wrong token: nothing")
    answer = call("GET", "/sluis/media/7002", token=env["TOKEN_BOT"])
    verdict(answer.code == 900052 and answer.status == 403, "a tool whose route withholds", answer.body)
    verdict(call("GET", "/sluis/media/7004").code == 900052, "what is withheld")
    sound = b"OggS audio-of-a-customer" * 20000
    bits = call("GET", "/sluis/media/7009")
    verdict(bits.status == 200 and bits.body == sound and bits.head["Content-Type"] == "audio/ogg; codecs=opus", "half a megabyte", (bits.status, len(bits.body)))
    bits = call("GET", "/sluis/media/7009", head={"Range": "bytes=65000-140000"})
    verdict(bits.status == 206 and bits.body == sound[65000:140001], "a range over its chunks", (bits.status, len(bits.body)))
    answers = []
    customer("7030", JPEG + b"slow800", phone="31622222222")
    tools = [threading.Thread(target=lambda: answers.append(call("GET", "/sluis/media/7030"))) for _ in range(8)]
    [t.start() for t in tools]
    [t.join() for t in tools]
    verdict(all(a.status == 200 and a.body == JPEG + b" made anew: slow800" for a in answers), "eight tools at once are all served",
            [(a.status, a.body[:60]) for a in answers])
    verdict(len(asked("7030")) == 2, "by one fetch", asked("7030"))


def upload(content, mime, name=b"foto.jpg"):
    mark = b"grens"
    body = b"".join(b"--grens\r\nContent-Disposition: form-data; name=\"%s\"%s\r\n\r\n%s\r\n" % part for part in [
        (b"messaging_product", b"", b"whatsapp"), (b"type", b"", mime.encode()),
        (b"file", b'; filename="%s"\r\nContent-Type: %s' % (name, mime.encode()), content)]) + b"--grens--\r\n"
    return call("POST", f"/v24.0/{PHONE}/media", body, head={"Content-Type": "multipart/form-data; boundary=" + mark.decode()})


class Files(http.server.BaseHTTPRequestHandler):
    asked = []
    more = {} # path: (type, content; None: without an end)

    def do_GET(self):
        Files.asked.append(self.path)
        if self.path in Files.more:
            kind, content = Files.more[self.path]
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content) if content else 10**12))
            self.end_headers()
            self.wfile.write(content or b"%PDF-1.7" + bytes(300000))
            return
        if self.path == "/redirect.jpg":
            self.send_response(302)
            self.send_header("Location", "https://evil.example/x.jpg")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        word = {"/card.jpg": b"card", "/clean.jpg": b"clean link", "/two.jpg": b"clean two"}.get(self.path)
        content = JPEG + word if word else b"%PDF-1.7 link"
        self.send_response(200)
        self.send_header("Content-Type", "image/jpeg" if word else "application/pdf")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args):
        pass


def files_server():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", int(env["PORT_FILES"])), Files)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(f"{DIR}/certs/graph.pem", f"{DIR}/certs/graph-key.pem")
    server.handle_error = lambda *args: None # who hangs up is part of it
    server.socket = tls.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()


def graph_posts(edge):
    return [l for l in lines("graph.jsonl") if l["method"] == "POST" and l["target"].split("?")[0].endswith("/" + edge)]


def raw(body):
    return body.encode() if isinstance(body, str) else base64.b64decode(body["base64"])


def send():
    print("uploads")
    text("mag ik iets vragen?", phone="31633333333")
    until(lambda: any(m["from"] == "31633333333" for m in delivered()))
    before = len(graph_posts("media"))
    answer = upload(JPEG + b"clean upload", "image/jpeg")
    now = graph_posts("media")[before:]
    verdict(answer.status == 200 and len(now) == 1 and b"made anew: clean upload" in raw(now[0]["body"]),
            "a clean picture goes as the worker made it", (answer.status, answer.body, now))
    ident = answer.json["id"] if answer.status == 200 else "0"
    before = len(graph_posts("media"))
    answer = upload(JPEG + b"card", "image/jpeg")
    verdict(answer.status == 403 and answer.code == 900053 and b"card" in answer.body, "a photo of a card is refused, with the reason", answer.body)
    verdict(upload(JPEG + b"damaged", "image/jpeg").code == 900054, "one that cannot be inspected is refused")
    verdict(upload(JPEG + b"card", "application/pdf").code == 900055, "a picture called a document is refused")
    verdict(upload(b"%PDF-1.7", "image/jpeg").code == 900055, "and the other way round")
    verdict(len(graph_posts("media")) == before, "none of it reached Meta")
    message = {"messaging_product": "whatsapp", "to": "31633333333"}
    answer = call("POST", f"/v24.0/{PHONE}/messages", {**message, "type": "image", "image": {"id": ident}})
    verdict(answer.status == 200, "sent by its id", answer.body)
    print("attachments by link")
    files_server()
    base = f"https://localhost:{env['PORT_FILES']}"
    image = lambda path: {"type": "image", "image": {"link": base + path}}
    before = len(graph_posts("messages"))
    answer = call("POST", f"/v24.0/{PHONE}/messages", {**message, "type": "image", "image": {"link": base + "/clean.jpg", "caption": "De balie"}})
    now = graph_posts("messages")[before:]
    body = now[0]["body"] if now else "{}"
    reached = json.loads(body) if isinstance(body, str) else body
    verdict(answer.status == 200 and reached.get("image", {}).get("id", "").isdigit() and "link" not in reached["image"] and
            reached["image"]["caption"] == "De balie", "fetched, inspected, uploaded, sent by id", (answer.body, now))
    carousel = {**message, "type": "interactive", "interactive": {"type": "carousel", "body": {"text": "x"}, "action": {"cards": [
        {"card_index": 0, "type": "cta_url", "header": image("/clean.jpg")}, {"card_index": 1, "type": "cta_url", "header": image("/two.jpg")}]}}}
    for name, body in [
        ("template header", {**message, "type": "template", "template": {"name": "x", "language": {"code": "nl"}, "components": [
            {"type": "header", "parameters": [image("/clean.jpg")]}]}}),
        ("interactive header", {**message, "type": "interactive", "interactive": {
            "type": "button", "header": image("/clean.jpg"), "body": {"text": "x"}, "action": {"buttons": []}}}),
        ("carousel", carousel),
        ("document", {**message, "type": "document", "document": {"link": base + "/x.pdf", "filename": "x.pdf"}}),
    ]:
        before = len(graph_posts("messages"))
        answer = call("POST", f"/v24.0/{PHONE}/messages", body)
        now = graph_posts("messages")[before:]
        verdict(answer.status == 200 and len(now) == 1 and "link" not in json.dumps(now[0]["body"]).replace("\\", ""), name,
                (answer.status, answer.body, now))
    before = len(graph_posts("messages")), len(graph_posts("media"))
    for name, link, code in [
        ("a card behind a link is refused", base + "/card.jpg", 900053),
        ("a redirect is not followed", base + "/redirect.jpg", 900057),
        ("a host that is not listed", "https://evil.example/a.jpg", 900056),
        ("a private address that is not listed", "https://127.0.0.1:%s/clean.jpg" % env["PORT_FILES"], 900056),
        ("another port", "https://localhost/clean.jpg", 900056),
        ("a number for a host", "https://2130706433:%s/clean.jpg" % env["PORT_FILES"], 900056),
        ("0.0.0.0", "https://0.0.0.0:%s/clean.jpg" % env["PORT_FILES"], 900056),
        ("an address inside another", "https://[::ffff:127.0.0.1]:%s/clean.jpg" % env["PORT_FILES"], 900056),
        ("a name before the host", "https://localhost:%s@evil.example/clean.jpg" % env["PORT_FILES"], 900056),
        ("a name before the listed host", "https://evil@localhost:%s/clean.jpg" % env["PORT_FILES"], 900056),
        ("a name below the listed one", "https://localhost.evil.example:%s/clean.jpg" % env["PORT_FILES"], 900056),
        ("another scheme", "file:///etc/passwd", 900056),
        ("not https", f"http://localhost:{env['PORT_FILES']}/clean.jpg", 900056),
        ("a document sent as a picture", base + "/x.pdf", 900055),
    ]:
        answer = call("POST", f"/v24.0/{PHONE}/messages", {**message, "type": "image", "image": {"link": link}})
        verdict(answer.code == code, name, answer.body)
    verdict((len(graph_posts("messages")), len(graph_posts("media"))) == before, "nothing of it reached Meta")


def worker_pids():
    out = subprocess.run(["pgrep", "-P", env["PID"]], capture_output=True, text=True).stdout.split()
    return [int(p) for p in out]


def killed():
    stop = threading.Event()

    def kill():
        while not stop.is_set():
            for pid in worker_pids():
                try:
                    os.kill(pid, 9)
                except ProcessLookupError:
                    pass
            time.sleep(0.05)

    killer = threading.Thread(target=kill)
    killer.start()
    for k in range(12):
        customer(f"73{k:02}", JPEG + b"clean %d" % k, phone=f"3164444{k:04}")
        customer(f"74{k:02}", JPEG + b"die", phone=f"3164444{k:04}")
        text(f"tekst {k}", phone=f"3164444{k:04}")
    time.sleep(0.8)
    stop.set()
    killer.join()
    verdict(until(lambda: all(got(f"7{s}{k:02}") for k in range(12) for s in (3, 4))) and
            until(lambda: all(any(m.get("text", {}).get("body") == f"tekst {k}" for m in delivered()) for k in range(12))),
            "every message is delivered, its picture or not")
    customer("7450", JPEG + b"clean after")
    verdict(wait("7450").get("type") == "image", "and pictures are inspected again", got("7450"))


def moved():
    """A message that is sealed anew while its picture waits, or after: the picture follows."""
    def keep(ident):
        answer = call("GET", f"/sluis/media/{ident}")
        verdict(answer.status == 200 and answer.body.startswith(JPEG + b" made anew: slow"), f"the tool gets {ident}", (answer.status, answer.body))

    def sluis(*words):
        return subprocess.run([env["BIN"] + "/sluis", *words, "-c", "sluis.yaml"], cwd=DIR, capture_output=True, text=True)

    files = lambda: set(os.listdir(f"{DIR}/store/media"))
    remasked = lambda: sum(leaf["action"] == "remask" for leaf in leaves())
    customer("7791", JPEG + b"slow2500", caption="mijn geheime woord", phone="31634560001")
    done = sluis("subject", "redact", "+31634560001", "--text", "geheime woord")
    verdict(done.returncode == 0, "words are redacted while the picture waits", done)
    keep("7791")
    number = remasked()
    customer("7792", JPEG + b"slow2500", caption="NL91 ABNA 04", phone="31634560002")
    text("17 1643 00", phone="31634560002")
    verdict(until(lambda: remasked() > number), "a caption is masked anew while the picture waits")
    keep("7792")
    customer("7793", JPEG + b"slow1", caption="NL91 ABNA 04", phone="31634560003")
    keep("7793")
    there = files()
    text("17 1643 00", phone="31634560003")
    verdict(until(lambda: there - files() and files() - there), "or when it is there: its file is another one then", files() ^ there)
    keep("7793")


def before():
    for k in range(6):
        customer(f"75{k:02}", JPEG + b"slow300", phone=f"3165555{k:04}")


def after():
    verdict(until(lambda: all(got(f"75{k:02}") for k in range(6))), "all are delivered", [got(f"75{k:02}") for k in range(6)])
    images = [(got(f"75{k:02}") or {}).get("image", {}) for k in range(6)]
    verdict(all(("sha256" in i) != (LATE in i.get("caption", "")) for i in images), "with their verdicts, or that they wait for them", images)
    codes = [decided(f"75{k:02}") for k in range(6)]
    verdict(codes == [None] * 6, "they were taken up again", codes)
    answers = [call("GET", f"/sluis/media/75{k:02}") for k in range(6)]
    verdict(all(a.status == 200 and a.body == JPEG + b" made anew: slow300" for a in answers), "and their pictures are served",
            [(a.status, a.body[:60]) for a in answers])
    verdict(call("GET", "/sluis/media/7002").body == JPEG + b" covered", "what had a verdict has the same")


def none():
    customer("7600", JPEG + b"clean")
    verdict(wait("7600").get("text", {}).get("body") == "[foto: niet doorgegeven]", "pictures are withheld", got("7600"))
    verdict(call("GET", "/sluis/media/7600").code == 900052, "and not served")
    verdict(call("GET", "/sluis/media/7002").status == 200, "what was inspected before is")
    verdict(upload(JPEG + b"clean", "image/jpeg").code == 900054, "uploads of pictures are refused")
    verdict(upload(b"%PDF-1.7", "application/pdf").status == 200, "documents go")



# Letters of five by seven, for pictures that say something.
FONT = {"0": "0e11131519110e", "1": "040c040404040e", "2": "0e11010204081f", "3": "1f02040201110e", "4": "02060a121f0202",
        "5": "1f101e0101110e", "6": "0608101e11110e", "7": "1f010204080808", "8": "0e11110e11110e", "9": "0e11110f01020c",
        "A": "0e11111f111111", "B": "1e11111e11111e", "D": "1e11111111111e", "E": "1f10101e10101f", "H": "1111111f111111",
        "I": "0e04040404040e", "L": "1010101010101f", "N": "11191513111111", "R": "1e11111e141211", "S": "0f10100e01011e",
        "T": "1f040404040404", "U": "1111111111110e", "V": "11111111110a04", "O": "0e11111111110e", "K": "11121418141211",
        "M": "111b1515111111", "G": "0e11101711110f", "W": "11111115151b11", "F": "1f10101e101010", "/": "01010204081010",
        "P": "1e11111e101010", "Z": "1f01020408101f", "J": "0702020202120c", " ": "00000000000000"}


def picture(lines_, width=900, height=570, ground=(236, 238, 242)):
    """A PNG with lines of text (text, x, y, scale), and a text chunk that must not come through."""
    import struct
    import zlib
    rows = [bytearray(bytes(ground) * width) for _ in range(height)]
    for words, left, top, scale in lines_:
        for k, letter in enumerate(words):
            glyph = bytes.fromhex(FONT[letter])
            for r in range(7):
                for c in range(5):
                    if glyph[r] >> (4 - c) & 1:
                        x = left + (k * 6 + c) * scale
                        for y in range(top + r * scale, top + (r + 1) * scale):
                            rows[y][3 * x:3 * (x + scale)] = bytes((20, 24, 30)) * scale

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) +
            chunk(b"tEXt", b"Comment\0gemaakt door Jan Jansen") +
            chunk(b"IDAT", zlib.compress(b"".join(b"\0" + bytes(r) for r in rows))) + chunk(b"IEND", b""))


def real():
    print("through the real worker")
    screen = picture([("STORING", 60, 60, 8), ("HET FORMULIER WERKT NIET", 60, 180, 5), ("PROBEER HET MORGEN", 60, 260, 5)])
    card = picture([("BANK", 60, 50, 9), ("DEBIT", 640, 50, 7), ("4111 1111 1111 1111", 60, 250, 7), ("VALID THRU 12/28", 60, 360, 5),
                    ("J JANSEN", 60, 450, 6)], ground=(210, 222, 240))
    customer("9001", screen, mime="image/png", caption="kijk", phone="31690000001")
    customer("9002", card, mime="image/png", phone="31690000002")
    customer("9003", card[:-60], mime="image/png", phone="31690000003")
    for ident in ("9001", "9002", "9003"):
        until(lambda: got(ident))
        decided(ident)
    answers = {i: call("GET", f"/sluis/media/{i}") for i in ("9001", "9002", "9003")}
    image, answer = (got("9001") or {}).get("image", {}), answers["9001"]
    verdict(answer.status == 200 and answer.body[:4] in (b"\x89PNG", b"\xff\xd8\xff\xe0"), "a screenshot passes", (answer.status, answer.body[:80]))
    late = image.get("caption", "").startswith("[foto: wordt gecontroleerd]")
    verdict(late or image.get("caption") == "kijk" and image.get("sha256") == hash64(answer.body), "with the hash that was announced", image)
    verdict(b"Jan Jansen" not in answer.body and b"tEXt" not in answer.body, "without what its maker wrote in it")
    image, answer = (got("9002") or {}).get("image", {}), answers["9002"]
    # On a machine that is busy the verdict may take longer than delivery waits.
    late = image.get("caption") == "[foto: wordt gecontroleerd]" and "sha256" not in image
    verdict(late or image.get("caption") == "[foto: bankpas afgeschermd]", "a bank card is covered: the line", got("9002"))
    known = call("GET", "/v24.0/9002").json or {}
    verdict(answer.status == 200 and known.get("sha256") == hashlib.sha256(answer.body).hexdigest() and
            (late or image.get("sha256") == hash64(answer.body)), "what is served is what was announced", (answer.status, known, image))

    def numbers(content):
        with open(f"{DIR}/look.png", "wb") as f:
            f.write(content)
        out = subprocess.run([env["BIN"] + "/sluis", "image", "--json", f"{DIR}/look.png"], capture_output=True, text=True).stdout
        return [x["type"] for x in json.loads(out)["findings"]]

    verdict("pan" in numbers(card) and "pan" not in numbers(answer.body), "the number is readable before, and not after",
            (numbers(card), numbers(answer.body)))
    verdict(answers["9003"].code == 900052, "one that is cut off is withheld", answers["9003"].body)
    before = len(graph_posts("media"))
    verdict(upload(card, "image/png").code == 900053, "an agent cannot send the card")
    verdict(upload(screen, "image/png").status == 200 and len(graph_posts("media")) == before + 1, "but the screenshot")


def flood():
    """200 pictures in one POST, each of its own contact: real ones where they lie ready, else 150 kB for the stand-in."""
    messages = []
    for k in range(200):
        path = f"{DIR}/files/8{k:04}"
        if os.path.exists(path):
            content = open(path, "rb").read()
        else:
            content = JPEG + b"burn300 " + os.urandom(150000)
            with open(path, "wb") as f:
                f.write(content)
        messages.append({"from": f"3168{k:07}", "id": f"wamid.8{k:04}.x", "timestamp": str(int(time.time())), "type": "image",
                         "image": {"id": f"8{k:04}", "mime_type": "image/jpeg", "sha256": hash64(content)}})
    status, took = webhook(*messages)
    print(json.dumps({"status": status, "answered_ms": round(took * 1000)}))


if __name__ == "__main__":
    globals()[sys.argv[1]]()
