/** Tables too wide for the window are scrolled by keyboard too: Tab comes to them, with a name. */

const all = (): HTMLElement[] => [...document.querySelectorAll<HTMLElement>(".scroll")];

/** What its table is called, or the part of the page that it is in. */
function nameOf(one: HTMLElement): string {
  const caption = one.querySelector("caption")?.textContent.trim();
  return caption || (one.closest("section[aria-label]")?.getAttribute("aria-label") ?? "Table");
}

function look(): void {
  for (const one of all()) {
    if (one.scrollWidth > one.clientWidth) {
      one.tabIndex = 0;
      one.setAttribute("role", "group");
      one.setAttribute("aria-label", `${nameOf(one)}: scrolls sideways`);
    } else if (one.tabIndex === 0) {
      for (const name of ["tabindex", "role", "aria-label"]) one.removeAttribute(name);
    }
  }
}

/** Keep it so while the window changes and parts of the page are exchanged. */
export function reachScrollers(): void {
  let focused = -1; // the place of the one with the focus, which is lost when it is exchanged
  addEventListener("load", look);
  addEventListener("resize", look);
  addEventListener("htmx:beforeSwap", () => {
    focused = all().findIndex((one) => one === document.activeElement);
  });
  addEventListener("htmx:afterSwap", () => {
    look();
    if (document.activeElement === document.body) all()[focused]?.focus({ preventScroll: true });
    focused = -1;
  });
}
