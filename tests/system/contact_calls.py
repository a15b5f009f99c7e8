"""The calls of tests/system/contact, a part at a time: contact_calls.py PART."""
import hashlib
import hmac
import http.client
import json
import os
import ssl
import subprocess
import sys
import time

env = os.environ
DIR, CA, PHONE, WABA = env["STACK_DIR"], env["CA"], env["PHONE_ID"], env["WABA_ID"]
TOKEN = env["TOKEN"]
SECRET = open(f"{DIR}/credentials/app-secret").read().strip().encode()
trust = ssl.create_default_context(cafile=CA)
serial = int(time.time() * 1000) % 10**9


def verdict(good, text, detail=""):
    print(f"  {'ok   ' if good else 'FAIL '} {text}" + (f"   {detail}" if not good else ""), flush=True)


def https(port, method, path, body, head):
    link = http.client.HTTPSConnection("localhost", int(env[port]), timeout=20, context=trust)
    link.request(method, path, body, head)
    answer = link.getresponse()
    text = answer.read()
    link.close()
    return answer.status, text


class Answer:
    def __init__(self, status, text):
        self.status, self.text = status, text
        self.json = json.loads(text) if text[:1] in (b"{", b"[") else None
        self.error = (self.json or {}).get("error", {}) if isinstance(self.json, dict) else {}
        self.code = self.error.get("code")


def call(method, path, body=None, token=TOKEN):
    head = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    return Answer(*https("PORT_TOOLS", method, path, json.dumps(body) if body is not None else None, head))


def webhook(value, field="messages"):
    body = json.dumps({"object": "whatsapp_business_account", "entry": [{"id": WABA, "changes": [
        {"field": field, "value": {"messaging_product": "whatsapp", "metadata": {
            "display_phone_number": "31201234567", "phone_number_id": PHONE}, **value}}]}]})
    sign = "sha256=" + hmac.new(SECRET, body.encode(), hashlib.sha256).hexdigest()
    status, _ = https("PORT_META", "POST", "/webhook/gemeente", body.encode(),
                      {"Content-Type": "application/json", "X-Hub-Signature-256": sign})
    assert status == 200, status


def writes(who, text, hours_ago=0, **more):
    """A message of a customer."""
    global serial
    serial += 1
    webhook({"contacts": [{"wa_id": who, "profile": {"name": "Klant"}}], "messages": [
        {"from": who, "id": f"wamid.{serial}", "timestamp": str(int(time.time() - hours_ago * 3600)),
         "type": "text", "text": {"body": text}, **more}]})


def to(who, **message):
    return call("POST", f"/v24.0/{PHONE}/messages", {"messaging_product": "whatsapp", "to": who, **message})


def text(who, body="Goedemiddag."):
    return to(who, type="text", text={"body": body})


def template(who, name):
    return to(who, type="template", template={"name": name, "language": {"code": "nl"}})


def sent():
    """What reached WhatsApp: the bodies of its messages."""
    try:
        lines = [json.loads(line) for line in open(f"{DIR}/graph.jsonl")]
    except OSError:
        return []
    return [json.loads(m["body"]) for m in lines if m["target"].endswith("/messages")]


def notices(who, count, settle=0.6):
    """The texts that the contact was sent: waits for `count`, then whether more come."""
    end = time.time() + 5
    while True:
        got = [m["text"]["body"] for m in sent() if m.get("to") == who and m["type"] == "text"]
        if len(got) >= count or time.time() > end:
            break
        time.sleep(0.05)
    time.sleep(settle)
    return [m["text"]["body"] for m in sent() if m.get("to") == who and m["type"] == "text"]


def sluis(*args, data=None):
    return subprocess.run([f"{env['BIN']}/sluis", *args[:2], "-c", "sluis.yaml", *args[2:]], cwd=DIR, input=data,
                          capture_output=True, text=True, timeout=60)


def leaves(action):
    out = sluis("audit", "list", "--json")
    found = []
    for line in out.stdout.splitlines():
        try:
            page = json.loads(line)
        except ValueError:
            continue
        for leaf in page.get("leaves", [page]):
            leaf = leaf.get("leaf", leaf)
            if leaf.get("action") == action:
                found.append(leaf)
    return found


def refused(what, answer, code, word):
    verdict(answer.code == code and answer.status >= 400 and answer.error["message"].startswith(f"(#{code}) ")
            and answer.error["error_data"]["details"], what, answer.text)
    verdict(any(x.get("code") == code and x.get("outcome") == word for x in leaves("refuse")), f"  on record: {word}")


def goes(what, answer):
    verdict(answer.status == 200 and answer.json["messages"], what, answer.text)


def outbound():
    before = len(sent())
    print("the window")
    goes("a contact nobody knows, a new gateway: Meta decides", text("31687650001"))
    writes("31687650002", "Hallo", hours_ago=25)
    refused("last wrote 25 hours ago", text("31687650002"), 900030, "window")
    refused("a picture too", to("31687650002", type="image", image={"id": "1"}), 900007, "media")
    writes("31687650002", "Hallo weer")
    goes("wrote again", text("31687650002"))
    writes("31687650003", "Hallo", hours_ago=23)
    goes("23 hours ago", text("31687650003"))
    goes("a template, the window closed", template("31687650001", "code"))

    print("grounds")
    refused("utility without a ground", template("31687650001", "afspraak"), 900032, "basis")
    refused("marketing without consent, in an open window", template("31687650002", "aanbieding"), 900032, "basis")
    goes("utility in an open window", template("31687650002", "afspraak"))
    refused("a template of no category: the strictest", template("31687650001", "kaal"), 900032, "basis")
    refused("another template", template("31687650001", "anders"), 900021, "template")

    print("opting out")
    goes("authentication without a ground", template("31687650004", "code"))
    writes("31687650004", "Stop.")
    time.sleep(0.2)
    goes("an answer to STOP may go", text("31687650004"))
    refused("marketing after STOP", template("31687650004", "aanbieding"), 900031, "opted_out")
    writes("31687650005", "hallo", hours_ago=30)
    writes("31687650005", "Stop", hours_ago=29)
    refused("anything begun by us after STOP", template("31687650005", "code"), 900031, "opted_out")
    writes("31687650006", "hallo", hours_ago=30)
    webhook({"user_preferences": [{"wa_id": "31687650006", "category": "marketing_messages", "value": "stop",
                                   "timestamp": str(int(time.time()))}]}, "user_preferences")
    refused("Meta's user_preferences", template("31687650006", "code"), 900031, "opted_out")
    webhook({"user_preferences": [{"wa_id": "31687650006", "category": "marketing_messages", "value": "resume",
                                   "timestamp": str(int(time.time()) + 1)}]}, "user_preferences")
    goes("and resumed", template("31687650006", "code"))
    writes("31687650007", "hallo", hours_ago=30)
    writes("31687650007", "Stop met die onzin", hours_ago=29)
    goes("STOP in a sentence is none", template("31687650007", "code"))
    consent = leaves("consent")
    verdict([x["outcome"] for x in consent].count("stopped") == 3
            and [x["outcome"] for x in consent].count("resumed") == 1, "each on record", consent)
    verdict(len(sent()) - before == 9, "what was refused did not reach WhatsApp", len(sent()) - before)


def pace():
    writes("31687650010", "Hallo")
    for i in range(3):
        goes(f"message {i + 1} of 3 a minute", text("31687650010"))
    refused("the fourth", text("31687650010"), 900033, "pace")
    goes("another contact", text("31687650001"))




def notices_part():
    print("notices")
    who = "31687650020"
    writes(who, "Goedemorgen, mijn bsn is 111222333")
    got = notices(who, 2)
    verdict(sorted(x.split(".")[0] for x in got) == ["Stuur uw burgerservicenummer niet", "Welkom"],
            "a first message with a BSN: both notices", got)
    verdict(any(x.endswith("\nhttps://gemeente.example/veilig") for x in got), "with the safe channel", got)
    writes(who, "mijn bsn is 111222333")
    writes(who, "dus bsn 111222333")
    verdict(len(notices(who, 0)) == 2, "and not again in their period", notices(who, 0, 0))
    who = "447911123456"
    writes(who, "Hello, can you help me? My bsn is 111222333")
    got = notices(who, 2)
    verdict(sorted(x.split(".")[0] for x in got) == ["Do not send your BSN", "Welcome"], "in English", got)
    who = "31687650021"
    writes(who, "stop")
    writes(who, "mijn bsn is 111222333")
    verdict(notices(who, 0) == [], "never to who opted out", notices(who, 0, 0))
    who = "31687650022"
    webhook({"message_echoes": [{"from": "31201234567", "to": who, "id": "wamid.e1", "timestamp": str(int(time.time())),
                                 "type": "text", "text": {"body": "uw bsn is 111222333"}}]}, "smb_message_echoes")
    webhook({"statuses": [{"id": "wamid.e1", "status": "read", "timestamp": str(int(time.time())),
                           "recipient_id": who}]})
    writes(who, "", type="reaction", reaction={"message_id": "wamid.e1", "emoji": "👍"})
    writes(who, "mijn bsn is 111222333", group_id="groep1")
    writes(who, "mijn bsn is 111222333", hours_ago=25)
    verdict(notices(who, 0, 0.9) == [], "not to echoes, statuses, reactions, groups and what came a day late",
            notices(who, 0, 0))
    sends = [x for x in leaves("send") if x["actor"] == "gateway"]
    intents = [x for x in leaves("send_intent") if x["actor"] == "gateway"]
    verdict(len(intents) == 4 and {x["purpose"] for x in intents} == {"notice: bsn", "notice: first"}
            and [x["outcome"] for x in sends] == ["sent"] * 4, "each on record, before and after", (intents, sends))


def again():
    print("after a kill")
    who = "31687650020"
    writes(who, "nog eens: bsn 111222333")
    verdict(len(notices(who, 0)) == 2, "still in their period", notices(who, 0, 0))
    refused("the window is known", text("31687650005"), 900030, "window")
    refused("and who opted out", template("31687650005", "code"), 900031, "opted_out")


def closed():
    print("outside opening hours")
    who = "31687650030"
    writes(who, "Hallo, bent u er?")
    got = notices(who, 2)
    verdict(len(got) == 2 and "Wij zijn nu gesloten." in got, "the notice", got)
    writes(who, "hallo?")
    verdict(len(notices(who, 0)) == 2, "once", notices(who, 0, 0))


if __name__ == "__main__":
    {"outbound": outbound, "pace": pace, "notices": notices_part, "again": again, "closed": closed}[sys.argv[1]]()
