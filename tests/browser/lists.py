"""Long lists, keys, photos, jobs."""

import base64
import json
import re
import time
import urllib.parse

from playwright.sync_api import expect

from bench import check

DOT = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAMCAgICAgMCAgIDAwMDBAYEBAQEBAgGBgUGCQgKCgkICQkKDA8MCgsOCwkJDRENDg8QEBEQCgwSExIQEw8QEBD/"
    "yQALCAABAAEBAREA/8wABgAQEAX/2gAIAQEAAD8A0s8g/9k=")


def fake(total, locked=False):
    """A server of many people, of whom the page must not notice more than it shows."""
    asked = []

    def people(route):
        counts_only = "limit=1" in urllib.parse.urlsplit(route.request.url).query.split("&")
        if not counts_only:
            asked.append(route.request.url)
        if locked and route.request.headers.get("authorization") != "Bearer right":
            body = {"type": "about:blank", "title": "Unauthorized", "status": 401, "code": "UNAUTHORIZED", "detail": "a key is needed"}
            return route.fulfill(status=401, content_type="application/problem+json", body=json.dumps(body))
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(route.request.url).query)
        at, limit = int(query.get("cursor", ["0"])[0]), min(int(query["limit"][0]), 100)
        items = [{"id": f"{n:032x}", "name": f"\u202eAda {n}\u0627" if n % 3 else None, "faces": 3, "photos": 2, "cover": f"{n:032x}"}
                 for n in range(at, min(at + limit, total))]
        answer = {"items": items, "next": str(at + limit) if at + limit < total else None, "total": total}
        return route.fulfill(json=answer)

    def before(page):
        page.route("**/v1/people?*", people)
        page.route("**/crop", lambda route: route.fulfill(body=DOT, content_type="image/jpeg"))
    return before, asked


@check("windowed: 5,000 people are few elements, at both ends and on the way")
def windowed(b):
    before, asked = fake(5000)
    page = b.open(before=before)
    cards = page.get_by_test_id("person")
    expect(page.get_by_test_id("people-total")).to_have_text("5,000")
    expect(cards.first).to_be_visible()
    assert cards.count() < 100 and len(asked) <= 2, f"{cards.count()} elements, {len(asked)} pages asked"
    assert cards.nth(1).locator("bdi.name").count() == 1, "a name may turn the text around it"
    page.get_by_test_id("person-link").first.focus()
    page.keyboard.press("ArrowRight")
    expect(cards.nth(1).get_by_test_id("person-link")).to_be_focused()
    for _ in range(30):
        page.mouse.wheel(0, 900)
        page.wait_for_timeout(20)
    assert cards.count() < 100
    # A wheel takes the list from under the focus; the keys go on from where it was.
    started = time.monotonic()
    page.keyboard.press("End")
    last = page.locator("[data-testid=person][aria-posinset='5000']")
    expect(last.get_by_test_id("person-link")).to_be_focused()
    assert cards.count() < 100, f"{cards.count()} elements"
    page.keyboard.press("Home")
    expect(cards.first.get_by_test_id("person-link")).to_be_focused()
    return f"{cards.count()} elements, the end after {time.monotonic() - started:.1f} s and {len(asked)} pages"


@check("API key: asked for once, kept for the session, sent for crops too")
def api_key(b):
    before, asked = fake(30, locked=True)
    key, b.key = b.key, None
    try:
        page = b.open(before=before)
    finally:
        b.key = key
    for attempt in ("wrong", "right"):
        page.get_by_test_id("key-dialog").locator("input").fill(attempt)
        page.get_by_test_id("key-dialog").get_by_test_id("dialog-accept").click()
    expect(page.get_by_test_id("person").first).to_be_visible()
    expect(page.locator("img.crop").first).to_have_attribute("src", re.compile("^blob:"))
    page.reload()
    expect(page.get_by_test_id("person").first).to_be_visible()
    expect(page.get_by_test_id("key-dialog")).to_have_count(0)


@check("photos by state: reasons in words")
def photos(b):
    page = b.open("#/photos")
    expect(page.get_by_test_id("photo").first).to_be_visible()
    shown = 0
    for state in ("indexed", "no_faces", "low_quality", "rejected"):
        page.get_by_test_id(f"photos-{state}").click()
        first = next(b.api.all("/v1/photos", state=state), None)
        expect(page.get_by_test_id(f"photos-{state}")).to_have_attribute("aria-current", "true")
        if not first:
            expect(page.get_by_text("No photos here.")).to_be_visible()
            continue
        row = page.locator(f"[data-testid=photo][data-photo='{first['id']}']")
        expect(row).to_contain_text(first["path"])
        if first["reason"]:
            assert first["reason"] not in row.inner_text(), "the reason is a code"
        shown += 1
    return f"{shown} states have photos"


@check("indexing: starts, tells, ends")
def indexing(b):
    page = b.open("#/jobs")
    page.get_by_test_id("job-start").click()
    expect(page.get_by_test_id("job-state")).to_have_text(re.compile("Done|Stopped"), timeout=300_000)
    expect(page.get_by_test_id("job-start")).to_be_enabled()
    expect(page.get_by_test_id("past-job").first).to_contain_text("Done")
