/** Parts of pages that refresh themselves say aloud what has changed in them, and nothing else. */

/** Each `data-announce` (a name) with its state: what it says, or `data-said`. */
function states(): Map<string, string> {
  const found = document.querySelectorAll<HTMLElement>("[data-announce]");
  return new Map(
    [...found].map(({ dataset, textContent }) => [
      dataset["announce"] ?? "",
      (dataset["said"] ?? textContent).trim(),
    ]),
  );
}

/** Into the page's one status region: a region that is itself exchanged is read by nobody. */
export function announceChanges(): void {
  let before = new Map<string, string>();
  addEventListener("htmx:beforeSwap", () => (before = states()));
  addEventListener("htmx:afterSettle", () => {
    const news = [...states()].filter(([name, state]) => (before.get(name) ?? state) !== state);
    const announcer = document.getElementById("announcer");
    if (announcer && news.length > 0) {
      announcer.textContent = news.map(([name, state]) => `${name}: ${state}`).join(". ");
    }
  });
}
