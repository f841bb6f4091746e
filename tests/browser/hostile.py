"""Names from outside are text."""

from playwright.sync_api import expect

from bench import check, find_card, rename, toast, undo
from server import settled

BLANK, TURNED, LONG = "\u200b\u2060", "\u202eadA\u202e", "W" * 200
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


@check("names that cannot be seen, that turn, or that never break are shown as they are")
def strange(b):
    person = b.people[0]
    page = b.open(width=360, height=740)
    for name in (BLANK, TURNED, LONG):
        b.api.name(person["id"], name)
        page.goto(f"{b.base}/#/recognize")
        page.goto(f"{b.base}/#/people")
        card = find_card(page, person)
        expect(card.locator(".name")).to_be_visible()
        assert card.locator(".name").inner_text().strip(BLANK), "nothing is to be seen"
        expect(page.get_by_test_id("undo")).to_be_visible()
        card.get_by_test_id("person-link").click()
        heading = page.get_by_test_id("person-name")
        if name == BLANK:
            expect(heading).to_have_text("Invisible name")
        else:
            expect(heading.locator("bdi")).to_have_text(name)
        assert not set(page.title()) & set("\u202e\u200b"), "the title turns"
        page.get_by_test_id("person-rename").click()
        expect(page.get_by_test_id("rename-input")).to_have_attribute("dir", "auto")
        page.keyboard.press("Escape")
        page.get_by_test_id("person-hide").click()
        assert toast(page).locator("bdi, .nameless").count(), "a name is not kept apart from the words around it"
        b.idle(page)
        wide = lambda: page.evaluate("Math.max(document.documentElement.scrollWidth, document.body.scrollWidth)")
        assert wide() <= 360, f"{wide()} px wide"
        page.goto(f"{b.base}/#/history")
        expect(page.get_by_test_id("change").first).to_be_visible()
        b.shot(page, f"phone-strange-{len(name)}")
        assert wide() <= 360, f"{wide()} px wide in the history"
        b.api.ask("PATCH", f"/v1/people/{person['id']}", {"hidden": False, "name": ""})
