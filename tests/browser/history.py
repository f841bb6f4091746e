"""The history, and what takes changes back."""

import secrets

from playwright.sync_api import expect

from bench import check, toast
from server import settled


@check("history: changes in sentences, by whom and when; each is taken back by itself")
def take_back(b):
    one, two, mark = b.people[0], b.people[1], secrets.token_hex(3)
    name = lambda person: b.api.get(f"/v1/people/{person['id']}")["name"]
    before = name(one), name(two)
    record = b.api.name(two["id"], f"Paula {mark}")["change"]
    first = b.api.name(one["id"], f"Olga {mark}")["change"]
    hidden = b.api.ask("PATCH", f"/v1/people/{one['id']}", {"hidden": True})["change"]
    other = b.api.name(two["id"], f"Petra {mark}")["change"]
    moved = b.api.ask("POST", f"/v1/people/{two['id']}/move", {"faces": [b.api.faces(one["id"])[-1]["id"]]})["change"]
    page = b.open()
    page.get_by_test_id("to-history").click()
    row = lambda change: page.locator(f"[data-testid=change][data-change='{change}']")
    told = lambda change: row(change).get_by_test_id("change-text")
    expect(page.get_by_test_id("change").first).to_have_attribute("data-change", str(moved))
    expect(told(moved)).to_have_text(f"1 face went from Olga {mark} to Petra {mark}.")
    expect(told(hidden)).to_have_text(f"Olga {mark} was hidden.")
    expect(told(other)).to_have_text(f"Paula {mark} was renamed Petra {mark}.")
    expect(row(other)).to_contain_text("by 127.0.0.1")
    expect(row(other).locator("time")).to_have_count(1)
    b.shot(page, "light-history-changes")
    row(other).get_by_test_id("take-back").click()
    toast(page)
    settled(lambda: name(two) == f"Paula {mark}")
    assert name(one) == f"Olga {mark}", "another change was taken back"
    expect(row(other)).to_contain_text("Taken back by change")
    expect(row(other).get_by_test_id("take-back")).to_have_count(0)
    # A taking back is taken back by its own row, or by the message.
    page.get_by_test_id("change").first.get_by_test_id("take-back").click()
    settled(lambda: name(two) == f"Petra {mark}")
    # One that a later change builds on says so.
    row(first).get_by_test_id("take-back").click()
    expect(toast(page)).to_contain_text("A later change")
    for change in (moved, other, hidden, first, record):
        b.api.undo(change)
    settled(lambda: (name(one), name(two)) == before)


@check("history: in pages")
def pages(b):
    person = b.people[0]
    before = b.api.get(f"/v1/people/{person['id']}")["name"]
    for n in range(60):
        b.api.name(person["id"], f"Page {n}")
    page = b.open("#/history")
    rows = page.get_by_test_id("change")
    expect(rows).to_have_count(50)
    page.get_by_test_id("history-more").click()
    expect(rows.nth(59)).to_be_visible()
    numbers = [int(row.get_attribute("data-change")) for row in rows.all()]
    assert numbers == sorted(set(numbers), reverse=True), "changes are doubled or out of order"
    b.api.name(person["id"], before or "")


@check("the undo button says what it takes back, and is off where there is nothing")
def undo_button(b):
    person, name = b.people[1], f"Rosa {secrets.token_hex(3)}"
    before = b.api.get(f"/v1/people/{person['id']}")["name"]
    b.api.name(person["id"], name)
    page = b.open()
    button = page.get_by_test_id("undo")
    expect(button).to_contain_text(name)
    expect(button).to_have_attribute("aria-disabled", "false")
    button.click()
    settled(lambda: b.api.get(f"/v1/people/{person['id']}")["name"] == before)
    expect(button).not_to_contain_text(name)
    # The message brings back what was taken back.
    toast(page).get_by_test_id("toast-redo").click()
    settled(lambda: b.api.get(f"/v1/people/{person['id']}")["name"] == name)
    expect(button).to_contain_text(name)
    b.api.name(person["id"], before or "")
    forgotten = {"change": 9, "said": "forgotten", "by": "me", "at_ms": 5, "summary": "", "people": [], "moved": [], "undoes": None, "undone_by": None}
    for items, words in (([], "nothing to take back"), ([forgotten], "a forgetting")):
        page = b.open(before=lambda page: page.route("**/v1/history?*", lambda route: route.fulfill(json={"items": items, "next": None})))
        b.idle(page)
        button = page.get_by_test_id("undo")
        expect(button).to_have_attribute("aria-disabled", "true")
        assert button.inner_text().strip() == "Undo", "it says what it does not take back"
        page.keyboard.press("Control+z")
        expect(toast(page)).to_contain_text(words)
