"""Which request does each command of one call send, and what does it print?

Against a service that answers everything with what the test says; see `test_cli_calls.py` for
commands on the emulator.
"""

from __future__ import annotations

import json
import os
import pty
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from attrs import define, field
from click.testing import CliRunner

from kling_async.cli.app import cli

PASSWORD = "a-password-that-may-not-show"
LOGIN = {"KLING_PASS_TOKEN": "cookie1", "KLING_DID": "cookie2", "KLING_USER_ID": "7"}


@define
class Service:
    """Keeps what was asked, and answers with `reply`: text as it is, all else as JSON."""

    reply: Any = None
    status: int = 200
    base_url: str = ""
    asked: list[tuple[str, str, Any]] = field(factory=list)


@pytest.fixture
def service() -> Iterator[Service]:
    served = Service()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            served.asked.append((self.command, self.path, json.loads(body) if body else None))
            reply = served.reply if isinstance(served.reply, str) else json.dumps(served.reply)
            self.send_response(served.status)
            self.send_header("content-length", str(len(reply.encode())))
            self.end_headers()
            self.wfile.write(reply.encode())

        do_GET = do_POST = do_DELETE = answer

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing on stderr: that is the command's."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.base_url = f"http://127.0.0.1:{server.server_port}/v1/kling"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield served
    server.shutdown()
    thread.join()
    server.server_close()


TASK = {"task": {"id": 77}, "status_name": "processing", "status_final": False}
ADDED = {"email": "a@b.c", "maxJobs": 5, "password": "…secured…", "session": {"userId": "7"}}
MAIL = "email=a%2Bb%40c.de"
ME = ["--email", "a+b@c.de"]

ROWS: list[tuple[list[str], Any, tuple[str, str, Any], Any]] = [
    (["tasks", "get", "77", *ME], TASK, ("GET", f"/tasks/77?{MAIL}", None), TASK),
    (["tasks", "list"], {"history": [TASK, TASK]}, ("GET", "/tasks", None), [TASK, TASK]),
    (["tasks", "list", "--page-size", "9", "--content-type", "video", "--before", "17", *ME],
     {"history": []},
     ("GET", f"/tasks?pageSize=9&contentType=video&createdBefore=17&{MAIL}", None), []),
    (["tasks", "list", "--after", "17"], {"history": []}, ("GET", "/tasks?createdAfter=17", None),
     []),
    (["tasks", "delete", "77", *ME], {"deleted": 1, "workIds": [5]},
     ("DELETE", f"/tasks/77?{MAIL}", None), {"deleted": 1, "workIds": [5]}),
    (["scheduler", "running"], [{"id": 7}, {"id": 8}], ("GET", "/scheduler", None),
     [{"id": 7}, {"id": 8}]),
    (["scheduler", "available"], {"executing": [], "available": []},
     ("GET", "/scheduler/available", None), {"executing": [], "available": []}),
    (["tts", "create", "Grüße", "--speaker-id", "s", "--speed", "1.5", "--emotion", "sad", *ME],
     {"resource": "https://k/a.mp3"},
     ("POST", "/tts/create", {"speakerId": "s", "text": "Grüße", "speed": 1.5, "emotion": "sad",
                              "email": "a+b@c.de"}), {"resource": "https://k/a.mp3"}),
    (["videos", "text2video", "--prompt", "A kite", "--model-name", "kling-v4-0", "--duration", "9",
      "--aspect-ratio", "21:9", "--mode", "pro", "--no-enable-audio", "--reply-ref", "r",
      "--extra", '{"keyframes": [1]}', *ME], TASK,
     ("POST", "/videos/text2video", {
         "prompt": "A kite", "model_name": "kling-v4-0", "duration": 9, "aspect_ratio": "21:9",
         "mode": "pro", "enable_audio": False, "replyRef": "r", "email": "a+b@c.de",
         "keyframes": [1]}), TASK),
    (["videos", "text2video", "--shot", '{"prompt": "A kite", "duration_s": 3}',
      "--shot", '{"prompt": "It falls", "duration_s": 4}', "--reply-ref", "r",
      "--model-name", "kling-v3-0"], TASK,
     ("POST", "/videos/text2video", {
         "model_name": "kling-v3-0", "shot_1_prompt": "A kite", "shot_1_duration": 3,
         "shot_2_prompt": "It falls", "shot_2_duration": 4, "replyRef": "r"}), TASK),
    (["videos", "image2video-frames", "--image-url", "https://x.y/a.png", "--element", "u_1",
      "--element", "u_2", "--model-name", "kling-v3-0", "--reply-ref", "r"], TASK,
     ("POST", "/videos/image2video-frames", {
         "image": "https://x.y/a.png", "element_1": "u_1", "element_2": "u_2",
         "model_name": "kling-v3-0", "replyRef": "r"}), TASK),
    (["videos", "omni", "--prompt", "@image_2", "--image", "https://x.y/a.png",
      "--image", "https://x.y/b.png", "--count", "2", "--reply-ref", "r"], TASK,
     ("POST", "/videos/omni", {
         "prompt": "@image_2", "image_1": "https://x.y/a.png", "image_2": "https://x.y/b.png",
         "count": 2, "replyRef": "r"}), TASK),
    (["videos", "extend", "77", "--prompt", "On", "--reply-ref", "r"], TASK,
     ("POST", "/videos/extend", {"task_id": 77, "prompt": "On", "replyRef": "r"}), TASK),
    (["videos", "effects"], [{"name": "a"}, {"name": "b"}], ("GET", "/videos/effects", None),
     [{"name": "a"}, {"name": "b"}]),
    (["videos", "motions", "--mine"], [], ("GET", "/videos/motions?mine=true", None), []),
    (["videos", "voices"], {"voices": [{"id": "1"}]}, ("GET", "/videos/voices", None),
     [{"id": "1"}]),
    (["videos", "delete-voice", "301", *ME], {"deleted": True},
     ("DELETE", f"/videos/voices?voiceId=301&{MAIL}", None), {"deleted": True}),
    (["images", "kolors", "--prompt", "@image_1 at sea", "--image", "https://x.y/a.png",
      "--image", "https://x.y/b.png", "--image-count", "2", "--reply-ref", "r", *ME], TASK,
     ("POST", "/images/kolors", {
         "prompt": "@image_1 at sea", "image_1": "https://x.y/a.png",
         "image_2": "https://x.y/b.png", "imageCount": 2, "replyRef": "r", "email": "a+b@c.de"}),
     TASK),
    (["images", "kolors-elements", "--subject-image", "https://x.y/a.png", "--reply-ref", "r"],
     TASK, ("POST", "/images/kolors-elements", {
         "subjectImage1": "https://x.y/a.png", "replyRef": "r"}), TASK),
    (["images", "upscale", "--task-id", "77", "--work-id", "5", "--reply-ref", "r"], TASK,
     ("POST", "/images/upscale", {"task_id": "77", "workId": "5", "replyRef": "r"}), TASK),
    (["elements", "create", "--name", "Sailor", "--cover-image-url", "https://x.y/a.png",
      "--generate-views"], {"id": "u_1"},
     ("POST", "/elements", {"name": "Sailor", "coverImage": "https://x.y/a.png",
                            "generateViews": True}), {"id": "u_1"}),
    (["elements", "get", "u_1", *ME], {"id": "u_1"}, ("GET", f"/elements/u_1?{MAIL}", None),
     {"id": "u_1"}),
    (["elements", "list", "--official", "--page-size", "5"], {"elementsList": [], "total": 0},
     ("GET", "/elements?pageSize=5&official=true", None), {"elementsList": [], "total": 0}),
    (["assets", "list"], {"uploadAssetsList": [{"id": "1"}]}, ("GET", "/assets/uploaded/", None),
     [{"id": "1"}]),
    (["assets", "list", "--page-num", "2", "--page-size", "5", "--content-type", "image",
      "--file-name", "a.png", "--sort", "asc", *ME], {"uploadAssetsList": []},
     ("GET", "/assets/uploaded/?pageNum=2&pageSize=5&contentType=image&fileName=a.png&sort=asc"
      f"&{MAIL}", None), []),
    (["assets", "generated", "--page-num", "2", "--page-size", "5", "--content-type", "audio",
      "--sort", "desc", *ME], {"limitations": [], "history": []},
     ("GET", f"/assets?pageNum=2&pageSize=5&contentType=audio&sort=desc&{MAIL}", None),
     {"limitations": [], "history": []}),
    (["assets", "delete", "1", "22", *ME], {"deleted": 2, "ids": ["1", "22"]},
     ("DELETE", f"/assets/uploaded/?id=1%2C22&{MAIL}", None), {"deleted": 2, "ids": ["1", "22"]}),
    (["assets", "link", "5", "6", "--file-type", "mp4", "--file-type", "PNG", *ME],
     {"cdnUrl": "https://k/z.zip"},
     ("GET", f"/assets/download?workIds=5%2C6&fileTypes=MP4%2CPNG&{MAIL}", None),
     {"cdnUrl": "https://k/z.zip"}),
    (["avatars", "video", "--avatar-id", "12345678", "--text", "Hi", "--speaker-id", "s",
      "--speed", "1.5", "--emotion", "sad", "--prompt", "Calm", "--mode", "pro", "--max-jobs", "5",
      "--reply-url", "https://me/x", "--reply-ref", "r", *ME], TASK,
     ("POST", "/avatars/video", {
         "avatarId": "12345678", "text": "Hi", "speakerId": "s", "speed": 1.5, "emotion": "sad",
         "prompt": "Calm", "mode": "pro", "maxJobs": 5, "replyUrl": "https://me/x",
         "replyRef": "r", "email": "a+b@c.de"}), TASK),
    (["avatars", "video", "--image-url", "https://x.y/a.png", "--audio-url", "https://x.y/a.mp3",
      "--reply-ref", "r"], TASK,
     ("POST", "/avatars/video", {
         "imageUrl": "https://x.y/a.png", "audioUrl": "https://x.y/a.mp3", "replyRef": "r"}), TASK),
    (["assets", "link", "5"], {"cdnUrl": "u"}, ("GET", "/assets/download?workIds=5", None),
     {"cdnUrl": "u"}),
    (["accounts", "get", "a+b@c.de"], {**ADDED, "balance": {"total": 9}},
     ("GET", "/accounts/a%2Bb@c.de", None),
     {"email": "a@b.c", "maxJobs": 5, "balance": {"total": 9}}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "reply", "asked", "printed"), ROWS, ids=[" ".join(row[0][:2]) for row in ROWS]
)
def test_a_command(
    invoke: Callable[..., Any],
    service: Service,
    words: list[str],
    reply: Any,
    asked: tuple[str, str, Any],
    printed: Any,
) -> None:
    service.reply = reply
    done = invoke(*words, "--transport", "httpx")  # aiohttp writes the same with less quoting
    assert (done.exit_code, done.stderr) == (0, "")
    method, target, body = asked
    assert service.asked == [(method, "/v1/kling" + target, body)]
    if isinstance(printed, list):
        assert [json.loads(line) for line in done.stdout.splitlines()] == printed
    else:
        assert json.loads(done.stdout) == printed


@pytest.mark.parametrize("reply", ["", "Task 77 is no longer tracked", "null", "{}"])
def test_forgetting_says_what_it_does_not_do(
    invoke: Callable[..., Any], service: Service, reply: str
) -> None:
    service.reply = reply
    done = invoke("scheduler", "forget", "77")
    assert (done.exit_code, done.stdout) == (0, "")
    assert "not cancelled: it runs on, is charged" in done.stderr
    assert service.asked == [("DELETE", "/v1/kling/scheduler/77", None)]
    assert "does NOT cancel" in invoke("scheduler", "forget", "--help").stdout


@pytest.mark.parametrize(("words", "said"), [
    (["tasks", "get", "x"], "task_id: must be a whole number"),
    (["tasks", "list", "--before", "1", "--after", "2"], "excludes created_before_ms"),
    (["assets", "delete", *map(str, range(1, 12)), *ME], "names 11; at most 10"),
    (["assets", "delete", "1"], "give email="),
    (["tts", "create", " ", "--speaker-id", "s"], "text: must not be blank"),
    (["tts", "create", "Hi"], "--speaker-id"),
    (["avatars", "video", "--avatar-id", "12345678", "--text", "Hi"], "speaker_id: "),
    (["avatars", "video", "--text", "Hi", "--speaker-id", "s"], "avatar_id"),
    (["assets", "download", "--to", "x.mp4"], "or give --task, and not both"),
    (["assets", "download", "5", "--task", "7", "--to", "x.mp4"], "and not both"),
    (["accounts", "remove", "nobody"], "is not an e-mail address"),
])  # fmt: skip
def test_wrong_use_sends_nothing(
    invoke: Callable[..., Any], service: Service, words: list[str], said: str
) -> None:
    done = invoke(*words)
    assert (done.exit_code, service.asked) == (2, [])
    assert said in done.stderr


def test_no_such_task_is_one_line_and_code_1(invoke: Callable[..., Any], service: Service) -> None:
    service.status, service.reply = 404, {"error": "Task 77 not found"}
    done = invoke("tasks", "get", "77")
    assert (done.exit_code, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert "404: Task 77 not found" in line
    assert "GET /tasks/{task_id}" in line


def test_a_text_may_come_from_stdin(environment: dict[str, str | None], service: Service) -> None:
    service.reply = {"resource": "u"}
    words = ["tts", "create", "-", "--speaker-id", "s"]
    done = CliRunner().invoke(cli, words, env=environment, input="Long\ntext\n")
    assert done.exit_code == 0
    assert service.asked[0][2] == {"speakerId": "s", "text": "Long\ntext"}


# --- accounts and their passwords -------------------------------------------------------------

ADD = ["accounts", "add", "a@b.c", "--max-jobs", "5"]


def add(
    environment: dict[str, str | None],
    *more: str,
    env: dict[str, str] | None = None,
    typed: str = "",
) -> Any:
    done = CliRunner().invoke(cli, [*ADD, *more], env={**environment, **(env or {})}, input=typed)
    assert PASSWORD not in done.output
    return done


@pytest.mark.parametrize("typed", [PASSWORD, PASSWORD + "\n", PASSWORD + "\r\nmore\n"])
def test_a_password_from_stdin(
    environment: dict[str, str | None], service: Service, typed: str
) -> None:
    service.status, service.reply = 201, ADDED
    done = add(environment, "--password-stdin", "--dry-run", env=LOGIN, typed=typed)
    assert done.exit_code == 0, done.output
    assert service.asked == [("POST", "/v1/kling/accounts", {
        "email": "a@b.c", "password": PASSWORD, "maxJobs": 5, "passToken": "cookie1",
        "did": "cookie2", "userId": "7", "dryRun": True})]  # fmt: skip
    assert json.loads(done.output) == {"email": "a@b.c", "maxJobs": 5}


def test_a_password_from_the_environment(
    environment: dict[str, str | None], service: Service
) -> None:
    service.status, service.reply = 201, ADDED
    assert add(environment, env={"KLING_PASSWORD": PASSWORD}).exit_code == 0
    sent = {"email": "a@b.c", "password": PASSWORD, "maxJobs": 5}
    assert service.asked == [("POST", "/v1/kling/accounts", sent)]


@pytest.mark.parametrize(("more", "said"), [
    ([], "use --password-stdin, or set KLING_PASSWORD"),
    (["--password-stdin"], "no password on stdin"),
])  # fmt: skip
def test_without_a_password_nothing_is_sent(
    environment: dict[str, str | None], service: Service, more: list[str], said: str
) -> None:
    done = add(environment, *more)
    assert (done.exit_code, service.asked) == (2, [])
    assert said in done.output


def test_a_password_is_asked_for_and_not_shown(start: Callable[..., Any], service: Service) -> None:
    service.status, service.reply = 201, ADDED
    ours, theirs = pty.openpty()
    process = start(*ADD, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
    os.close(theirs)
    seen = b""
    while b"Kling password of a@b.c" not in seen:
        seen += os.read(ours, 1024)
    os.write(ours, PASSWORD.encode() + b"\n")
    try:
        while more := os.read(ours, 1024):
            seen += more
    except OSError:  # the other end is closed
        pass
    assert process.wait(30) == 0
    os.close(ours)
    assert PASSWORD.encode() not in seen
    assert b'"maxJobs": 5' in seen
    assert service.asked[0][2]["password"] == PASSWORD


def test_a_password_is_no_argument(invoke: Callable[..., Any]) -> None:
    for option in ("--password", "--pass-token", "--did"):
        assert f"{option} " not in invoke("accounts", "add", "--help").stdout
    assert invoke(*ADD, "--password", PASSWORD).exit_code == 2


def test_a_wrong_password_is_not_quoted(
    environment: dict[str, str | None], service: Service
) -> None:
    service.status, service.reply = 400, {"error": f"wrong password {PASSWORD}"}
    done = add(environment, env={"KLING_PASSWORD": PASSWORD})
    assert done.exit_code == 1
    assert "wrong password (hidden)" in done.output


def test_removing(invoke: Callable[..., Any], service: Service) -> None:
    service.reply = ""
    done = invoke("accounts", "remove", "a+b@c.de", "--transport", "httpx")
    assert (done.exit_code, done.stdout) == (0, "")
    assert "a+b@c.de is removed" in done.stderr
    assert service.asked == [("DELETE", "/v1/kling/accounts/a%2Bb@c.de", None)]
