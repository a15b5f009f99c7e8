"""Plays Meta for `sluis doctor --meta`: answers DIR/number.json and DIR/apps.json. Usage: PORT DIR"""
import http.server
import ssl
import sys

port, folder = int(sys.argv[1]), sys.argv[2]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        name = "apps" if "/subscribed_apps" in self.path else "number"
        body = open(f"{folder}/{name}.json", "rb").read()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
tls.load_cert_chain(f"{folder}/certs/graph.pem", f"{folder}/certs/graph-key.pem")
server.socket = tls.wrap_socket(server.socket, server_side=True)
open(f"{folder}/peer.ready", "w").close()
server.serve_forever()
