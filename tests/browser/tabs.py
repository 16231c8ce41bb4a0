"""What can happen to a tab."""

from contextlib import suppress

from playwright.sync_api import Error, Page


def killed(page: Page) -> Page:
    """A new tab in place of one whose process crashed: it had no chance to say anything more."""
    with suppress(Error):
        page.goto("chrome://crash")
    context = page.context
    page.close()
    return context.new_page()
