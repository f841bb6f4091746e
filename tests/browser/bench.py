"""One run: browser, server, people, folders; and what a person does on the page again and again."""

import base64
import json
import re
import time
from pathlib import Path

from playwright.sync_api import expect

from server import TIMEOUT_SECONDS, Api

AUDIT, AGAIN = ((Path(__file__).parent / name).read_text() for name in ("audit.js", "again.js"))
CHECKS = []


class Bench:
    """One run: browser, server, people, folders."""

    def __init__(self, browser, options):
        self.browser, self.base = browser, options.base.rstrip("/")
        self.photos, self.out, self.key = options.photos, options.screenshots, options.key
        self.api = Api(options.base, options.key)
        self.people = self.api.subjects()
        self.complaints = []
        self.context = None
        self.under_way = set()

    def open(self, hash="#/people", width=1280, height=800, scheme="light", before=None):
        if self.context:
            self.context.close()
        self.context = self.browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme,
                                                reduced_motion="reduce", has_touch=width < 500)
        page = self.context.new_page()
        page.set_default_timeout(TIMEOUT_SECONDS * 1000)
        self.under_way = asked = set()
        page.on("request", lambda request: asked.add(request))
        for end in ("requestfinished", "requestfailed"):
            page.on(end, lambda request: asked.discard(request))
        if self.key:
            page.add_init_script(f"sessionStorage.setItem('muster-api-key', {json.dumps(self.key)})")
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        # A refusal that a check provokes is printed as a resource that failed to load.
        page.on("console", lambda m: m.type == "error" and "Failed to load resource" not in m.text and self.complaints.append(m.text))
        if before:
            before(page)
        page.goto(f"{self.base}/{hash}")
        return page

    def photo(self, person):
        """A photo that shows this person alone, the best face first."""
        for face in person["all"]:
            if self.api.get(f"/v1/photos/{face['photo']}")["face_count"] == 1:
                return self.photos / "demo" / re.search(r"P\d{3}/[^/]+$", face["path"])[0]
        raise AssertionError("no photo shows this person alone")

    def again(self, page, path):
        data = page.evaluate(AGAIN, base64.b64encode(path.read_bytes()).decode())
        return {"name": "again.jpg", "mimeType": "image/jpeg", "buffer": base64.b64decode(data)}

    def idle(self, page):
        """Until what was asked for is there and drawn: the browser's own "networkidle" is told once a document, and this is one."""
        end, still = time.monotonic() + TIMEOUT_SECONDS, 0
        while still < 3:
            page.wait_for_timeout(50)
            still = 0 if self.under_way else still + 1
            assert time.monotonic() < end, f"still under way: {[request.url for request in self.under_way]}"

    def shot(self, page, name):
        self.idle(page)
        page.screenshot(path=self.out / f"{name}.png")


def check(name):
    def keep(run):
        CHECKS.append((name, run))
        return run
    return keep


def toast(page):
    message = page.get_by_test_id("toast").last
    expect(message).to_be_visible()
    # It goes away after a while, but not while it is pointed at.
    message.hover()
    assert message.locator(".toast-text").inner_text().strip(), "the message says nothing"
    return message


def undo(page):
    page.get_by_test_id("toasts").evaluate("el => el.replaceChildren()")
    page.get_by_test_id("undo").click()
    toast(page)


def find_card(page, person):
    page.get_by_test_id("people-search").fill(person["id"])
    card = page.locator(f"[data-testid=person][data-person='{person['id']}']")
    expect(page.get_by_test_id("people-total")).to_have_text("1")
    expect(card).to_be_visible()
    return card


def rename(card, name):
    card.get_by_test_id("rename").click()
    card.get_by_test_id("rename-input").fill(name)
    card.get_by_test_id("rename-input").press("Enter")


def choose(page, other):
    page.get_by_test_id("choose-search").fill(other["id"])
    page.locator(f"[data-testid=choice][data-person='{other['id']}']").click()


def face(page, id):
    """Scrolls a windowed list until the face is an element."""
    tile = page.locator(f"[data-face='{id}']")
    expect(page.get_by_test_id("face").first).to_be_visible()
    for _ in range(200):
        if tile.count():
            break
        page.mouse.wheel(0, 500)
        page.wait_for_timeout(60)
    return tile
