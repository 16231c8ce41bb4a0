"""What axe finds on a page in either theme, and what the Tab key reaches on it."""

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page

AXE = Path(__file__).resolve().parents[2] / "frontend" / "node_modules" / "axe-core" / "axe.min.js"
RUN_AXE = """async only => {
  const rules = {"target-size": {enabled: true}};
  const runOnly = only ? {runOnly: {type: "rule", values: only}} : {rules};
  const {violations} = await axe.run(document, {resultTypes: ["violations"], ...runOnly});
  return violations.flatMap(({id, nodes}) =>
    nodes.map(({target, failureSummary}) => `${id}: ${target} ${failureSummary}`));
}"""
OF_COLOURS = ["color-contrast", "link-in-text-block"]  # all that another theme can change

# Whether the focus can be seen: it has an outline, and nothing lies over it (2.4.7, 2.4.11).
FOCUS_SHOWN = """() => {
  const at = document.activeElement;
  if (!at || at === document.body) return true;
  const {left, top, width, height} = at.getBoundingClientRect();
  const over = document.elementFromPoint(left + width / 2, top + Math.min(height / 2, 20));
  const outlined = getComputedStyle(at).outlineStyle !== "none" || at.tabIndex < 0;
  const seen = over !== null && (at.contains(over) || over.contains(at));
  return (outlined && seen) || `${at.outerHTML} outlined: ${outlined}, under: ${over?.outerHTML}`;
}"""

# Known by what they are, for parts of a page may be exchanged while one walks over it.
BEGIN_WALK = """() => {
  const named = at => [at.tagName, at.id, at.name, at.getAttribute("href"),
    (at.getAttribute("aria-label") ?? at.textContent).trim().slice(0, 40)].join(" ");
  let last = null;
  const been = new Set();
  const nodes = new WeakSet([document.body]);
  window.walked = {
    step() {
      const at = document.activeElement;
      // parts of one date are steps of one field
      const again = at !== document.body && at !== last && nodes.has(at);
      last = at;
      nodes.add(at);
      been.add(named(at));
      return again;
    },
    missed() {
      const within = document.querySelector("dialog[open]") ?? document;
      const all = "a[href], button, input, select, textarea, summary, [tabindex='0']";
      return [...within.querySelectorAll(all)]
        .filter(at => !at.disabled && at.type !== "hidden" && !at.closest("[inert]"))
        .filter(at => at.checkVisibility({visibilityProperty: true}))
        .map(named).filter(name => !been.has(name));
    },
  };
}"""
STEPS = 250  # more than any page has

Check = Callable[[Page, str], None]


def violations(page: Page) -> list[str]:
    """Everything that axe finds, then what it finds wrong with the colours of the other theme."""
    page.evaluate(AXE.read_text())
    found: list[str] = page.evaluate(RUN_AXE, None)
    dark = page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    page.emulate_media(color_scheme="light" if dark else "dark")
    found += [f"other theme: {one}" for one in page.evaluate(RUN_AXE, OF_COLOURS)]
    page.emulate_media(color_scheme="dark" if dark else "light")
    return found


def walk_by_tab(page: Page) -> list[str]:
    """Go round a page, or the dialog over it, by Tab.

    Returns:
        What has the focus without showing it, and what can be used but is never come to.
    """
    page.evaluate(BEGIN_WALK)
    wrong: list[str] = []
    for _ in range(STEPS):
        page.keyboard.press("Tab")
        shown = page.evaluate(FOCUS_SHOWN)
        wrong += [] if shown is True else [f"focus not shown: {shown}"]
        if page.evaluate("walked.step()"):
            break
    return [*wrong, *(f"Tab never comes to {one}" for one in page.evaluate("walked.missed()"))]
