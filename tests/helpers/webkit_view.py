"""Safari's engine in a window, told line by line what to do.

Runs in the system's Python, where Debian's bindings of WebKitGTK are; see engines.py.
A line on standard input is a JSON list, a method of `View` and its arguments; a line
on standard output is the answer, `{"value": ...}` or `{"error": ...}`.
"""

import base64
import json
import os
import subprocess
import sys
import tempfile
import time

# Its sandbox needs namespaces, which a container may not give; pages are our own.
os.environ["WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS"] = "1"
os.environ["WEBKIT_DISABLE_COMPOSITING_MODE"] = "1"
os.environ["LIBGL_ALWAYS_SOFTWARE"] = "1"

import gi  # noqa: E402

gi.require_version("Gtk", "3.0")
gi.require_version("WebKit2", "4.1")
from gi.repository import Gtk, WebKit2  # noqa: E402


class View:
    """One window with one page."""

    def __init__(self):
        self.window, self.view = Gtk.Window(), WebKit2.WebView()
        self.window.add(self.view)
        self.window.set_decorated(False)

    def size(self, width, height):
        self.window.set_default_size(width, height)
        self.window.resize(width, height)
        self.window.show_all()
        self._wait(0.3)

    def dark(self, wanted):
        """Choose the system's appearance; it holds for pages loaded after."""
        name = "gtk-application-prefer-dark-theme"
        Gtk.Settings.get_default().set_property(name, wanted)

    def goto(self, url):
        done = []

        def changed(view, event):
            if event == WebKit2.LoadEvent.FINISHED:
                done.append(True)

        handler = self.view.connect("load-changed", changed)
        self.view.load_uri(url)
        self._wait(30, lambda: done)
        self.view.disconnect(handler)
        if not done:
            raise TimeoutError(f"not loaded: {url}")

    def evaluate(self, body):
        """Run the body of an async function; return its value."""
        answer = {}

        def finished(view, result):
            try:
                value = view.call_async_javascript_function_finish(result)
                answer["value"] = value.to_json(0)
            except Exception as error:
                answer["error"] = str(error)

        call = self.view.call_async_javascript_function
        call(body, -1, None, None, None, None, finished)
        self._wait(30, lambda: answer)
        if "value" not in answer:
            raise RuntimeError(answer.get("error", "no answer"))
        text = answer["value"]
        return None if text in (None, "undefined") else json.loads(text)

    def press(self, key):
        self.window.present()
        self.view.grab_focus()
        self._wait(0.05)
        subprocess.run(["xdotool", "key", key], check=True)
        self._wait(0.2)

    def screenshot(self):
        pictures = []

        def finished(view, result):
            try:
                pictures.append(view.get_snapshot_finish(result))
            except Exception as error:
                pictures.append(error)

        region, options = WebKit2.SnapshotRegion.VISIBLE, WebKit2.SnapshotOptions.NONE
        self.view.get_snapshot(region, options, None, finished)
        self._wait(60, lambda: pictures)
        if not pictures or isinstance(pictures[0], Exception):
            raise RuntimeError(f"no picture: {pictures}")
        with tempfile.NamedTemporaryFile(suffix=".png") as file:
            pictures[0].write_to_png(file.name)
            return base64.b64encode(file.read()).decode()

    def _wait(self, seconds, done=lambda: False):
        end = time.time() + seconds
        while time.time() < end and not done():
            while Gtk.events_pending():
                Gtk.main_iteration_do(False)
            time.sleep(0.005)


def main():
    view = View()
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        try:
            answer = {"value": getattr(view, name)(*arguments)}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
