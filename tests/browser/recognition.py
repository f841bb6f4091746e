"""Recognising photos."""

import base64
import re
import secrets

from playwright.sync_api import expect

from bench import check, find_card, rename, toast, undo
from server import settled


@check("upload: the right name, once the person has one")
def upload(b):
    person, name = b.people[0], f"Ada {secrets.token_hex(3)}"
    page = b.open()
    rename(find_card(page, person), name)
    toast(page)
    settled(lambda: b.api.get(f"/v1/people/{person['id']}")["name"] == name)
    page.goto(f"{b.base}/#/recognize")
    page.get_by_test_id("photo-input").set_input_files(b.again(page, b.photo(person)))
    found = page.get_by_test_id("found-person")
    expect(found).to_have_text(name)
    expect(found).to_have_attribute("href", f"#/people/{person['id']}")
    expect(page.get_by_test_id("found")).to_have_attribute("data-verdict", "known")
    expect(page.get_by_test_id("found-likeness")).to_have_text(re.compile("alike|same picture"))
    figures = page.get_by_text(re.compile(r"Similarity [01]\.\d\d"))
    expect(figures).to_be_hidden()
    page.get_by_test_id("found-details").locator("summary").click()
    expect(figures).to_be_visible()
    box, picture = page.evaluate("""['box', 'picture'].map((id) => {
      const { left, right } = document.querySelector(`[data-testid=${id}]`).getBoundingClientRect();
      return [left, right];
    })""")
    assert picture[0] <= box[0] and box[1] <= picture[1] + 1, "the box is beside the photo"
    found.click()
    expect(page.get_by_test_id("person-name")).to_have_text(name)


@check("upload: several at once; a broken file is told in words and stops no other")
def broken(b):
    page = b.open("#/recognize")
    good = b.photo(b.people[1])
    page.get_by_test_id("photo-input").set_input_files([
        {"name": "cut.jpg", "mimeType": "image/jpeg", "buffer": good.read_bytes()[:3000]},
        {"name": "photo.heic", "mimeType": "image/heic", "buffer": b"not a photo"}, b.again(page, good)])
    expect(page.locator("[data-testid=recognition][data-state=failed]")).to_have_count(2)
    expect(page.locator("[data-testid=recognition][data-state=done]")).to_have_count(1)
    for words in page.get_by_test_id("recognition-error").all_inner_texts():
        assert re.search(r"[a-z]{3,} [a-z]{2,}", words), f"no words: {words}"


@check("recognise: a file that is no photo is named, with what to do")
def no_photo(b):
    page = b.open("#/recognize")
    page.get_by_test_id("photo-input").set_input_files({"name": "letter.txt", "mimeType": "text/plain", "buffer": b"Dear Ada"})
    told = page.get_by_test_id("no-photos")
    expect(told).to_be_visible()
    expect(told).to_have_text("letter.txt is no photo. Choose JPEG, PNG, WebP or HEIC files.")
    expect(page.get_by_test_id("recognition")).to_have_count(0)
    page.get_by_test_id("photo-input").set_input_files([
        {"name": "a.txt", "mimeType": "text/plain", "buffer": b"a"}, {"name": "named.jpg", "mimeType": "image/jpeg", "buffer": b"no photo"}])
    expect(told).to_contain_text("a.txt is no photo.")
    expect(page.get_by_test_id("recognition-error")).to_contain_text("Choose a JPEG, PNG, WebP or HEIC photo.")


@check("recognise: who has no name gets one there; photos can be dropped and pasted")
def name_there(b):
    person, name = b.people[2], f"Lise {secrets.token_hex(3)}"
    before = b.api.get(f"/v1/people/{person['id']}")["name"]
    if before:
        return "everybody has a name"
    page = b.open("#/recognize")
    photo = b.again(page, b.photo(person))
    give = """([type, data]) => {
      const given = new DataTransfer();
      given.items.add(new File([Uint8Array.from(atob(data), (c) => c.charCodeAt(0))], 'given.jpg', { type: 'image/jpeg' }));
      const how = type === 'paste' ? new ClipboardEvent(type, { clipboardData: given, bubbles: true }) : new DragEvent(type, { dataTransfer: given, bubbles: true, cancelable: true });
      document.querySelector('[data-testid=drop]').dispatchEvent(how);
    }"""
    for way in ("drop", "paste"):
        page.evaluate(give, [way, base64.b64encode(photo["buffer"]).decode()])
    found = page.get_by_test_id("found")
    expect(found).to_have_count(2)
    expect(found.first).to_have_attribute("data-verdict", "unnamed")
    found.first.get_by_test_id("this-is").click()
    found.first.get_by_test_id("rename-input").fill(name)
    found.first.get_by_test_id("rename-input").press("Enter")
    toast(page)
    for at in (0, 1):
        expect(found.nth(at).get_by_test_id("found-person")).to_have_text(name)
    expect(found.first.get_by_test_id("found-person")).to_be_focused()
    undo(page)
    settled(lambda: not b.api.get(f"/v1/people/{person['id']}")["name"])
    expect(found.first).to_have_attribute("data-verdict", "unnamed")
