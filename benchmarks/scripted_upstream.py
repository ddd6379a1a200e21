"""A local endpoint that speaks OpenAI's protocol and fails on demand: real sockets, scripted answers."""

import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@contextmanager
def upstream(answer, fault=lambda body: None, hang=3.0):
    """Serves `answer(body) -> message`; `fault(body)` gives a status, "hang", "cut" or None. Yields (url, requests)."""
    met = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *words):
            pass

        def do_GET(self):
            self._send(json.dumps({"object": "list", "data": [{"id": "m"}]}).encode())

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            met.append((self.path, dict(self.headers), body))
            kind = fault(body)
            if kind == "hang":
                time.sleep(hang)
                self.close_connection = True
                return
            if isinstance(kind, int):
                self._send(json.dumps({"error": {"message": f"scripted {kind}"}}).encode(), kind)
                return
            message = {"role": "assistant", **answer(body)}
            if body.get("stream"):
                self._stream(message, kind == "cut")
                return
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            usage = {"prompt_tokens": 10, "completion_tokens": 5}
            told = json.dumps({"id": "x", "model": "m-served", "choices": [choice], "usage": usage}).encode()
            self._send(told, cut=kind == "cut")

        def _send(self, content, status=200, cut=False):
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2] if cut else content)
            self.close_connection = cut

        def _stream(self, message, cut):
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            for word in message["content"].split(" ")[: 1 if cut else None]:
                self._event({"choices": [{"index": 0, "delta": {"content": word + " "}, "finish_reason": None}]})
            if cut:
                self.close_connection = True
                return
            self._event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
            self._chunk(b"data: [DONE]\n\n")
            self._chunk(b"")

        def _event(self, value):
            self._chunk(b"data: " + json.dumps({"model": "m-served", **value}).encode() + b"\n\n")

        def _chunk(self, data):
            self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
            self.wfile.flush()

    class Server(ThreadingHTTPServer):
        request_queue_size = 256

        def handle_error(self, request, client):
            pass

    server = Server(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", met
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
