"""What can happen to a tab."""

from contextlib import suppress

from playwright.sync_api import Error, Page, ViewportSize

TWO_FRAMES = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"


def killed(page: Page) -> Page:
    """A new tab in place of one whose process crashed: it had no chance to say anything more."""
    with suppress(Error):
        page.goto("chrome://crash")
    context = page.context
    page.close()
    return context.new_page()


def resize(page: Page, size: ViewportSize) -> None:
    """Give it another size, of which a page hears in a frame after."""
    page.set_viewport_size(size)
    page.evaluate(TWO_FRAMES)
