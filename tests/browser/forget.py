"""Forgetting, which nothing takes back."""

from playwright.sync_api import expect

from bench import check


@check("forget a photo: asked, deleted, receipt")
def forget_photo(b):
    person = b.people[4]
    id = person["all"][-1]["photo"]
    page = b.open(f"#/photos/{id}")
    page.get_by_test_id("photo-forget").click()
    page.get_by_test_id("dialog-forget").click()
    expect(page.get_by_test_id("receipt")).to_be_visible()
    page.get_by_test_id("dialog-cancel").click()
    expect(page.get_by_test_id("photos-all")).to_be_visible()
    assert b.api.missing(f"/v1/photos/{id}"), "the photo is still there"


@check("forget a person: asked, deleted, receipt")
def forget_person(b):
    person = b.people[3]
    faces = len(b.api.ids(person["id"]))
    page = b.open(f"#/people/{person['id']}")
    page.get_by_test_id("person-forget").click()
    page.get_by_test_id("dialog-cancel").click()
    assert len(b.api.ids(person["id"])) == faces, "it was not yet said"
    page.get_by_test_id("person-forget").click()
    page.get_by_test_id("dialog-forget").click()
    receipt = page.get_by_test_id("receipt")
    expect(receipt).to_contain_text(f"Faces\n{faces}", use_inner_text=True)
    b.shot(page, "light-receipt")
    assert b.api.missing(f"/v1/people/{person['id']}"), "the person is still there"
    page.get_by_test_id("dialog-cancel").click()
    expect(page.get_by_test_id("people-search")).to_be_visible()
    page.get_by_test_id("people-search").fill(person["id"])
    expect(page.get_by_test_id("people-total")).to_have_text("0")
