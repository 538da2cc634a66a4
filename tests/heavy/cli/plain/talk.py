"""A talking video with the standard library and the vendor's documentation alone.

    python talk.py BASE_URL TOKEN json|form FILE        prints "EMAIL TASK_ID WORK_ID"

POLL_S: seconds between two looks at the task, 20 as in the vendor's samples.
"""

import json
import os
import sys
import time
import urllib.parse
import urllib.request
import uuid
from pathlib import Path

base, token, encoding, file = sys.argv[1:]
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def api(path, query=None, body=None, content_type=None):
    url = base + path + ("?" + urllib.parse.urlencode(query) if query else "")
    request = urllib.request.Request(url, body, {"Authorization": "Bearer " + token})
    if content_type:
        request.add_header("Content-Type", content_type)
    with opener.open(request) as reply:
        return json.load(reply)


def multipart(values):
    boundary = uuid.uuid4().hex
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in values.items()
    ]
    body = "".join(parts) + f"--{boundary}--\r\n"
    return body.encode(), f"multipart/form-data; boundary={boundary}"


email = next(iter(api("/accounts")))
wanted = {
    "email": email,
    "imageUrl": "https://pictures.example/ada.png",
    "audioUrl": "https://sounds.example/ada.mp3",
    "mode": "std",
    "maxJobs": 5,
}
if encoding == "json":
    made = api("/avatars/video", None, json.dumps(wanted).encode(), "application/json")
else:
    made = api("/avatars/video", None, *multipart(wanted))
task = made["task"]["id"]

while True:
    record = api(f"/tasks/{task}", {"email": email})
    if record["status_final"]:
        break
    time.sleep(float(os.environ.get("POLL_S", "20")))
if record["status_name"] != "succeed":
    sys.exit(json.dumps(record))

work = record["works"][0]["workId"]
query = {"email": email, "workIds": work, "fileTypes": "MP4"}
with opener.open(api("/assets/download", query)["cdnUrl"]) as reply:
    Path(file).write_bytes(reply.read())
print(email, task, work)
