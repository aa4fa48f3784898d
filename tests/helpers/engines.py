"""The three engines of browsers, driven alike: `size`, `dark`, `goto`, `evaluate`,
`press`, `screenshot`.

Playwright drives Debian's Chromium. Its Firefox and its WebKit are builds of its own,
so Debian's Firefox is spoken to by WebDriver BiDi, and Debian's WebKitGTK by its
bindings for the system's Python (webkit_view.py). An engine that is not there skips
the test with the names of its packages.
"""

import base64
import json
import os
import re
import shutil
import subprocess
import tempfile
import threading
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path

import pytest

import browser

SYSTEM_PYTHON = "/usr/bin/python3"
WEBKIT = "gir1.2-gtk-3.0 gir1.2-webkit2-4.1 python3-gi-cairo xauth xdotool xvfb"
#: WebDriver's code points and X's names of keys.
KEYS = {"ArrowRight": ("\ue014", "Right"), "ArrowLeft": ("\ue012", "Left")}
#: Nothing is asked and nothing is fetched; the system's appearance is light.
PREFERENCES = {
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "app.update.enabled": False,
    "layout.css.prefers-color-scheme.content-override": 1,
}


class Chromium:
    """One page: a new one would load again what the browser has in its cache."""

    def __init__(self, page):
        self.page = page

    def size(self, width, height):
        self.page.set_viewport_size({"width": width, "height": height})

    def dark(self, wanted):
        self.page.emulate_media(color_scheme="dark" if wanted else "light")

    def goto(self, url):
        self.page.goto(url)

    def evaluate(self, body):
        return self.page.evaluate(f"async () => {{ {body} }}")

    def press(self, key):
        self.page.keyboard.press(key)

    def screenshot(self):
        return self.page.screenshot()


class Firefox:
    """WebDriver BiDi over a socket: what these tests need of it."""

    def __init__(self, socket):
        self.socket, self.number = socket, count()
        self.call("session.new", capabilities={})
        contexts = self.call("browsingContext.getTree")["contexts"]
        self.context = contexts[0]["context"]

    def call(self, method, **parameters):
        number = next(self.number)
        message = {"id": number, "method": method, "params": parameters}
        self.socket.send(json.dumps(message))
        while True:
            answer = json.loads(self.socket.recv())
            if answer.get("id") == number:
                if answer["type"] == "error":
                    raise RuntimeError(f"{method}: {answer['message']}")
                return answer["result"]

    def size(self, width, height):
        viewport = {"width": width, "height": height}
        set_viewport = "browsingContext.setViewport"
        self.call(set_viewport, context=self.context, viewport=viewport)

    def dark(self, wanted):
        # a preference, which only a page of the browser's own may set
        name = "layout.css.prefers-color-scheme.content-override"
        body = f"Services.prefs.setIntPref('{name}', {0 if wanted else 1})"
        chrome = self.call("browsingContext.getTree", **{"moz:scope": "chrome"})
        self.run(body, chrome["contexts"][0]["context"])

    def run(self, body, context):
        body = f"async () => JSON.stringify(await (async () => {{ {body} }})())"
        result = self.call(
            "script.callFunction",
            functionDeclaration=body,
            awaitPromise=True,
            target={"context": context},
        )
        if result["type"] == "exception":
            raise RuntimeError(result["exceptionDetails"]["text"])
        text = result["result"].get("value")
        return None if text is None else json.loads(text)

    def goto(self, url):
        navigate = "browsingContext.navigate"
        self.call(navigate, context=self.context, url=url, wait="complete")

    def evaluate(self, body):
        return self.run(body, self.context)

    def press(self, key):
        actions = [
            {"type": kind, "value": KEYS[key][0]} for kind in ("keyDown", "keyUp")
        ]
        keyboard = {"type": "key", "id": "keyboard", "actions": actions}
        self.call("input.performActions", context=self.context, actions=[keyboard])

    def screenshot(self):
        shot = self.call("browsingContext.captureScreenshot", context=self.context)
        return base64.b64decode(shot["data"])


class WebKit:
    def __init__(self, process):
        self.process = process

    def __getattr__(self, name):
        def call(*arguments):
            print(json.dumps([name, *arguments]), file=self.process.stdin, flush=True)
            line = self.process.stdout.readline()
            answer = json.loads(line or '{"error": "the window has closed"}')
            if "error" in answer:
                raise RuntimeError(answer["error"])
            return answer["value"]

        return call

    def press(self, key):
        self.__getattr__("press")(KEYS[key][1])

    def screenshot(self):
        return base64.b64decode(self.__getattr__("screenshot")())


@contextmanager
def chromium():
    with browser.chromium() as started:
        page = started.new_page(color_scheme="light")
        yield Chromium(page)
        page.close()


@contextmanager
def firefox():
    path = next(filter(None, map(shutil.which, ("firefox-esr", "firefox"))), None)
    if path is None:
        browser.unavailable("no Firefox: install Debian's package firefox-esr")
    try:
        import websocket
    except ImportError:
        browser.unavailable("nothing to speak to Firefox: install websocket-client")
    with tempfile.TemporaryDirectory() as profile:
        lines = [
            f"user_pref({json.dumps(k)}, {json.dumps(v)});"
            for k, v in PREFERENCES.items()
        ]
        (Path(profile) / "user.js").write_text("\n".join(lines))
        command = [path, "--headless", "--no-remote", "--profile", profile]
        command += ["--remote-debugging-port", "0", "--remote-allow-system-access"]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        try:
            listening = r"WebDriver BiDi listening on (ws://\S+)"
            found = None
            while not found:
                line = process.stderr.readline()
                if not line:
                    pytest.fail("Firefox has ended before it listened")
                found = re.search(listening, line)
            # what it says later must not fill the pipe
            threading.Thread(target=process.stderr.read, daemon=True).start()
            socket = websocket.create_connection(
                f"{found[1]}/session", timeout=60, suppress_origin=True
            )
            yield Firefox(socket)
            socket.close()
        finally:
            process.terminate()
            process.wait()


@contextmanager
def webkit():
    known = "import cairo, gi; gi.require_version('WebKit2', '4.1')"
    there = all(map(shutil.which, (SYSTEM_PYTHON, "xvfb-run", "xdotool")))
    if (
        not there
        or subprocess.run([SYSTEM_PYTHON, "-c", known], capture_output=True).returncode
    ):
        browser.unavailable(f"no WebKit: install Debian's packages {WEBKIT}")
    view = Path(__file__).with_name("webkit_view.py")
    # the system's Python must not meet the packages of this one
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    process = subprocess.Popen(
        ["xvfb-run", "-a", "-s", "-screen 0 1600x1200x24", SYSTEM_PYTHON, view],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
    )
    try:
        yield WebKit(process)
    finally:
        process.stdin.close()
        process.wait(30)


#: The engines that wait for the next test of this process: starting takes seconds.
_kept = {}


def kept(start):
    """Return what gives an engine that runs already, or starts it."""

    @contextmanager
    def again():
        if start not in _kept:
            stack = ExitStack()
            _kept[start] = stack.enter_context(start()), stack
        engine, stack = _kept[start]
        try:
            engine.dark(False)
            yield engine
            engine.goto("about:blank")
        except BaseException:
            # whatever has happened to it, the next test has another one
            del _kept[start]
            stack.close()
            raise

    return again


def close():
    """End the engines that were kept."""
    while _kept:
        _kept.popitem()[1][1].close()


ENGINES = {"chromium": chromium, "firefox": kept(firefox), "webkit": kept(webkit)}
