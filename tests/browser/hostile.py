"""Names from outside are text."""

from playwright.sync_api import expect

from bench import check, find_card, rename, toast, undo
from server import settled

HOSTILE = '<img src=x onerror="window.hacked=1"> & <b>bold</b>'


@check("a hostile name is text, everywhere")
def hostile(b):
    person = b.people[0]
    page = b.open()
    card = find_card(page, person)
    rename(card, HOSTILE)
    toast(page)
    expect(card.locator("bdi.name")).to_have_text(HOSTILE)
    card.get_by_test_id("person-link").click()
    expect(page.get_by_test_id("person-name")).to_have_text(HOSTILE)
    page.get_by_test_id("person-forget").click()
    expect(page.get_by_test_id("forget-dialog")).to_contain_text(HOSTILE)
    page.keyboard.press("Escape")
    page.goto(f"{b.base}/#/people/{b.people[1]['id']}")
    page.get_by_test_id("person-merge").click()
    page.get_by_test_id("choose-search").fill(person["id"])
    expect(page.get_by_test_id("choice")).to_have_count(1)
    expect(page.get_by_test_id("choice")).to_contain_text(HOSTILE)
    page.get_by_test_id("choice").click()
    expect(page.get_by_test_id("evidence-dialog")).to_contain_text(HOSTILE)
    page.keyboard.press("Escape")
    page.goto(f"{b.base}/#/recognize")
    page.get_by_test_id("photo-input").set_input_files(b.again(page, b.photo(person)))
    expect(page.get_by_test_id("found-person")).to_have_text(HOSTILE)
    b.shot(page, "light-hostile")
    assert page.evaluate("window.hacked === undefined && !document.querySelector('img[src=x]')"), "it was markup"
    undo(page)
    settled(lambda: b.api.get(f"/v1/people/{person['id']}")["name"] != HOSTILE)
