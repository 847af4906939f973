#!/usr/bin/env bash
# huggingface-hub 2.4.0: a download that was killed is not continued, and what it had stays.
#
# While a file comes, its bytes go into `blobs/HASH.RANDOM.incomplete`. The name is drawn anew by each
# call, so that a call after a kill asks for the whole file again, without a Range, and never removes
# the file of the first: each kill leaves up to the size of the file in the cache. Only within one call,
# when the connection breaks, the client goes on where it was. Whole files are not fetched again.
#
# A server on this machine speaks the hub's protocol. Prints what was seen; the status is not 0 if the
# behaviour changes.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
uv venv -q "$folder/venv"
uv pip install -q --python "$folder/venv/bin/python" huggingface-hub==2.4.0

"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import hashlib
import http.server
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

folder, commit = Path(sys.argv[1]), "0123456789" * 4
content = os.urandom(3 * 10 * 2**20)
ranges, stalled = [], threading.Event()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        self.send_response(302)
        self.send_header("Location", f"http://localhost:{self.server.server_port}/elsewhere")
        self.send_header("X-Repo-Commit", commit)
        self.send_header("X-Linked-Etag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Linked-Size", str(len(content)))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self):
        if self.path != "/elsewhere":  # lists of files, which it can do without
            self.send_error(404)
            return
        ranges.append(self.headers.get("Range"))
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if len(ranges) > 1:
            self.wfile.write(content)
            return
        self.wfile.write(content[: 2 * len(content) // 3])
        self.wfile.flush()
        time.sleep(60)

    def log_message(self, *_): ...


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
threading.Thread(target=server.serve_forever, daemon=True).start()
call = f"hf_hub_download('owner/name', 'file', revision='{commit}')"
settings = {"HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}", "HF_HOME": str(folder / "cache")}
program = [sys.executable, "-c", f"from huggingface_hub import hf_hub_download; {call}"]
environment = {**os.environ, **settings, "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
environment.pop("HF_HUB_OFFLINE", None)


def parts():
    return [path for path in (folder / "cache").rglob("*.incomplete") if path.stat().st_size]


first = subprocess.Popen(program, env=environment)
while not parts() and first.poll() is None:
    time.sleep(0.1)
first.kill()
first.wait()
second = subprocess.run(program, env=environment).returncode
print(f"status of the second call: {second}")
print(f"Range of each request for the bytes: {ranges}")
print(f"bytes of the first call that are left: {sum(path.stat().st_size for path in parts())}")
sys.exit(not (second == 0 and ranges == [None, None] and parts()))
PYTHON
