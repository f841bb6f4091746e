"""The page of one person: hiding, birth date, notes, cover, and faces that are not theirs."""

from playwright.sync_api import expect

from bench import check, face, find_card, toast, undo
from server import settled


@check("hide: the person leaves the list, is shown on request, and comes back")
def hide(b):
    person = b.people[2]
    page = b.open(f"#/people/{person['id']}")
    page.get_by_test_id("person-hide").click()
    expect(toast(page)).to_contain_text("hidden: lists leave this person out")
    settled(lambda: b.api.get(f"/v1/people/{person['id']}")["hidden"])
    expect(page.get_by_test_id("person-hidden")).to_be_visible()
    expect(page.get_by_test_id("person-hide")).to_have_text("Unhide")
    expect(page.get_by_test_id("person-hide")).to_be_focused()
    page.goto(f"{b.base}/#/people")
    page.get_by_test_id("people-search").fill(person["id"])
    expect(page.get_by_test_id("people-total")).to_have_text("0")
    show = page.get_by_test_id("people-hidden")
    expect(show).to_have_text("Show 1 hidden person")
    show.click()
    card = find_card(page, person)
    expect(card).to_contain_text("hidden")
    expect(show).to_have_text("Leave out hidden people")
    card.get_by_test_id("person-link").click()
    page.get_by_test_id("person-hide").click()
    settled(lambda: not b.api.get(f"/v1/people/{person['id']}")["hidden"])
    expect(page.get_by_test_id("person-hidden")).to_be_hidden()


@check("birth date and notes: a wrong date is refused in the dialog, which keeps what was typed")
def about(b):
    person, notes = b.people[2], "The sister of <b>Ada</b>.\nLives in Graz."
    page = b.open(f"#/people/{person['id']}")
    page.get_by_test_id("person-about").click()
    page.get_by_test_id("about-notes").fill(notes)
    for wrong in ("yesterday", "1984-13"):
        page.get_by_test_id("about-born").fill(wrong)
        page.get_by_test_id("dialog-save").click()
        expect(page.get_by_test_id("about-error")).to_contain_text("1984-05")
        expect(page.get_by_test_id("about-born")).to_be_focused()
        expect(page.get_by_test_id("about-notes")).to_have_value(notes)
    page.get_by_test_id("about-born").fill("1984-05")
    page.get_by_test_id("dialog-save").click()
    expect(toast(page)).to_contain_text("birth date")
    expect(page.get_by_test_id("person-born")).to_have_text("Born May 1984")
    expect(page.get_by_test_id("person-notes")).to_have_text(notes, use_inner_text=True)
    now = b.api.get(f"/v1/people/{person['id']}")
    assert (now["born"], now["notes"]) == ("1984-05", notes), now
    undo(page)
    settled(lambda: b.api.get(f"/v1/people/{person['id']}")["born"] is None)
    expect(page.get_by_test_id("person-born")).to_be_hidden()


@check("cover: any face of a person may show them")
def cover(b):
    person = b.people[1]
    before = b.api.get(f"/v1/people/{person['id']}")["cover"]
    chosen = next(one["id"] for one in b.api.faces(person["id"]) if one["id"] != before)
    page = b.open(f"#/people/{person['id']}")
    expect(page.get_by_test_id("person-cover")).to_have_attribute("data-cover", before)
    face(page, chosen).click()
    page.get_by_test_id("faces-cover").click()
    toast(page)
    settled(lambda: b.api.get(f"/v1/people/{person['id']}")["cover"] == chosen)
    expect(page.get_by_test_id("person-cover")).to_have_attribute("data-cover", chosen)
    undo(page)
    settled(lambda: b.api.get(f"/v1/people/{person['id']}")["cover"] == before)


@check("not this person: the message tells of every face that moved, by name")
def not_person(b):
    one, two, three = b.people[:3]
    changes = [b.api.name(person["id"], name)["change"] for person, name in ((one, "Ada M"), (two, "Ben M"))]
    faces = b.api.faces(one["id"])
    chosen = faces[-1]["id"]
    before = {person["id"]: b.api.ids(person["id"]) for person in (one, two, three)}

    def more(route):
        """The server's answer, and two faces more that it moved between people of whom it tells nothing else."""
        told = route.fetch().json()
        told["moved"] += [{"face": f"{n:032x}", "from": two["id"], "to": three["id"]} for n in (1, 2)]
        route.fulfill(json=told)

    page = b.open(f"#/people/{one['id']}")
    page.route("**/not-person", more)
    face(page, chosen).click()
    page.get_by_test_id("faces-not-person").click()
    message = toast(page)
    expect(message).to_contain_text("Ada M")
    expect(message).to_contain_text("2 faces went from Ben M to a person without a name.")
    assert not any(person["id"][:8] in message.inner_text() for person in (one, two, three)), "ids in a message"
    settled(lambda: chosen not in b.api.ids(one["id"]))
    undo(page)
    settled(lambda: {id: b.api.ids(id) for id in before} == before)
    for change in reversed(changes):
        b.api.undo(change)


@check("ids are under Details only")
def ids(b):
    person = b.people[1]
    page = b.open()
    card = find_card(page, person)
    assert person["id"][:8] not in card.inner_text(), "an id on a card"
    card.get_by_test_id("person-link").click()
    expect(page.get_by_test_id("face").first).to_be_visible()
    id = page.get_by_test_id("person-id")
    expect(id).to_be_hidden()
    page.get_by_test_id("person-details").locator("summary").click()
    expect(id).to_have_text(person["id"])


@check("a card without a name offers one as the next step")
def next_step(b):
    person = next(person for person in b.people if not b.api.get(f"/v1/people/{person['id']}")["name"])
    page = b.open()
    card = find_card(page, person)
    expect(card.get_by_role("button", name="Name …")).to_be_visible()
    card.get_by_role("button", name="Name …").click()
    expect(card.get_by_test_id("rename-input")).to_be_focused()
