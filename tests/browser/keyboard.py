"""Without the mouse."""

import secrets

from playwright.sync_api import expect

from bench import check, toast
from server import settled


@check("keyboard only: find, open, rename, select, split, undo")
def keyboard(b):
    person, name = b.people[0], f"Emmy {secrets.token_hex(3)}"
    before = b.api.ids(person["id"])
    page = b.open()
    expect(page.get_by_test_id("person").first).to_be_visible()

    def tab(testid, key="Tab", most=40):
        for _ in range(most):
            page.keyboard.press(key)
            if page.evaluate("document.activeElement.dataset.testid") == testid:
                return
        raise AssertionError(f"{key} does not lead to {testid}")

    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "skip", "the first stop is the skip link"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    tab("people-search")
    page.keyboard.type(person["id"])
    expect(page.get_by_test_id("people-total")).to_have_text("1")
    tab("person-link")
    page.keyboard.press("F2")
    page.keyboard.press("Control+a")
    page.keyboard.type(name)
    page.keyboard.press("Enter")
    settled(lambda: b.api.get(f"/v1/people/{person['id']}")["name"] == name)
    expect(page.get_by_test_id("person-link")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("person-name")).to_have_text(name)
    expect(page.get_by_test_id("face").nth(1)).to_be_visible()
    expect(page.get_by_test_id("person-name")).to_be_focused()
    tab("face")
    page.keyboard.press("End")
    expect(page.locator("[data-testid=face]:focus")).to_have_attribute("aria-posinset", str(len(before)))
    chosen = page.evaluate("document.activeElement.dataset.face")
    page.keyboard.press("Space")
    expect(page.locator("[data-testid=face]:focus")).to_have_attribute("aria-selected", "true")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid", "the focus is not to be seen"
    tab("faces-split", "Shift+Tab")
    page.keyboard.press("Enter")
    toast(page)
    settled(lambda: chosen not in b.api.ids(person["id"]))
    b.idle(page)
    expect(page.locator("[data-testid=face]:focus")).to_have_count(1)
    tab("undo", "Shift+Tab")
    page.keyboard.press("Enter")
    settled(lambda: b.api.ids(person["id"]) == before)
    # And a dialog gives the focus back to what opened it.
    tab("person-merge")
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("choose-search")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_test_id("person-merge")).to_be_focused()
