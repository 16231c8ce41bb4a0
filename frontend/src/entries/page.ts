/** What the server rendered into the page for its script. */

export function element(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (!found) throw new Error(`The page has no #${id}.`);
  return found;
}

/** The page's own data, from Django's json_script. */
export function pageData<T>(): T {
  return JSON.parse(element("page-data").textContent) as T;
}
