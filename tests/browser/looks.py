"""Every view as it looks: light, dark, narrow."""

from playwright.sync_api import expect

from bench import AUDIT, check, choose
from review import cover, questions


def tour(b, tag, **how):
    """Every view and dialog: nothing wider than the window, text that can be read, buttons that can be hit."""
    page = b.open(**how)
    width = page.viewport_size["width"]
    faults = []

    def look(name):
        b.shot(page, f"{tag}-{name}")
        wide = page.evaluate("Math.max(document.documentElement.scrollWidth, document.body.scrollWidth)")
        if wide > width:
            faults.append(f"{name}: {wide} px wide")
        faults.extend(f"{name}: {fault}" for fault in page.evaluate(AUDIT))

    person, other = b.people[0], b.people[1]
    sheet = next((photo["id"] for photo in b.api.all("/v1/photos", state="indexed") if photo["face_count"] > 1), None)
    expect(page.get_by_test_id("person").first).to_be_visible()
    look("people")
    page.get_by_test_id("rename").first.click()
    look("rename")
    page.keyboard.press("Escape")
    page.get_by_test_id("people-add").click()
    look("add")
    page.keyboard.press("Escape")
    page.goto(f"{b.base}/#/people/{person['id']}")
    page.get_by_test_id("face").first.click()
    look("person")
    page.get_by_test_id("person-about").click()
    look("about")
    page.keyboard.press("Escape")
    page.get_by_test_id("person-details").locator("summary").click()
    look("person-details")
    page.get_by_test_id("faces-details").click()
    expect(page.get_by_test_id("face-dialog")).to_be_visible()
    look("face")
    page.keyboard.press("Escape")
    page.get_by_test_id("faces-move").click()
    expect(page.get_by_test_id("choice").first).to_be_visible()
    look("choose")
    page.keyboard.press("Escape")
    page.get_by_test_id("person-merge").click()
    choose(page, other)
    expect(page.get_by_test_id("why")).to_be_visible()
    look("evidence")
    page.keyboard.press("Escape")
    page.get_by_test_id("person-forget").click()
    look("forget")
    page.keyboard.press("Escape")
    page.goto(f"{b.base}/#/recognize")
    look("recognize-empty")
    photo = b.photo(person)
    page.get_by_test_id("photo-input").set_input_files([photo, photo.parent / "emotions_sheet.jpg"])
    expect(page.locator("[data-testid=recognition][data-state=done]")).to_have_count(2)
    look("recognize")
    page.get_by_test_id("recognition").first.get_by_test_id("found").first.scroll_into_view_if_needed()
    look("recognize-faces")
    for name, hash in (("faces", "faces"), ("photos", "photos"), ("rejected", "photos?state=rejected"), ("photo", f"photos/{sheet}"), ("jobs", "jobs"), ("missing", "people/00000000000000000000000000000000"), ("not-found", "nowhere"), ("history", "history")):
        page.goto(f"{b.base}/#/{hash}")
        look(name)
    questions(b, page, [(cover(b, person), other), (cover(b, other), person)])
    page.goto(f"{b.base}/#/people")
    expect(page.get_by_test_id("to-review")).to_be_visible()
    look("people-questions")
    page.get_by_test_id("to-review").click()
    expect(page.get_by_test_id("answer-yes")).to_be_visible()
    look("question")
    assert not faults, "\n    ".join([f"{len(faults)} faults", *dict.fromkeys(faults)][:20])


@check("every view in a light scheme: contrast, names, targets")
def light(b):
    tour(b, "light")


@check("every view in a dark scheme: contrast, names, targets")
def dark(b):
    tour(b, "dark", scheme="dark")
    light = b.context.pages[0].evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).map(Number)")
    assert max(light) < 64, f"the ground is {light}"


@check("every view 360 px wide: nothing overflows, every target 44 px")
def narrow(b):
    tour(b, "phone", width=360, height=740)
