"""Addresses that lead nowhere."""

from playwright.sync_api import expect

from bench import check


@check("an unknown address says so, and leads back")
def unknown(b):
    page = b.open("#/people")
    expect(page.get_by_test_id("person").first).to_be_visible()
    for hash in ("nowhere", "recognize/12", "people/12/faces", "people/%E0%A4%A", "toString"):
        page.goto(f"{b.base}/#/{hash}")
        expect(page.get_by_test_id("not-found")).to_have_text("Page not found")
        expect(page.get_by_test_id("person")).to_have_count(0)
        assert page.title().startswith("Page not found"), page.title()
    page.get_by_role("link", name="All people").click()
    expect(page.get_by_test_id("person").first).to_be_visible()
